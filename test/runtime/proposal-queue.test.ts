// Goal: the queue in front of the core is bounded and fair. Method: small bounds, appends of known sizes.
import { expect, test } from "vitest";
import { ProposalQueue } from "../../src/runtime/proposal-queue.ts";

const append = (bytes: number) => ({ bytes });

test("appends leave in the order in which they came", () => {
  const queue = new ProposalQueue({ bytes: 1_000_000, count: 10_000 });
  const offered = Array.from({ length: 5000 }, () => append(1));
  const taken: unknown[] = [];
  for (const [index, one] of offered.entries()) {
    expect(queue.offer(one)).toBe(true);
    if (index % 3 === 0) taken.push(queue.take());
  }
  while (queue.length > 0) taken.push(queue.take());
  expect(taken.length).toBe(offered.length);
  expect(taken.every((one, index) => one === offered[index])).toBe(true);
  expect(queue.take()).toBeUndefined();
  expect(queue.bytes).toBe(0);
});

test("room ends at either bound and returns only when both are half free", async () => {
  const queue = new ProposalQueue({ bytes: 100, count: 4 });
  queue.offer(append(60));
  expect(queue.hasRoom).toBe(true);
  queue.offer(append(40));
  expect(queue.hasRoom).toBe(false);
  let called = 0;
  queue.whenRoom(() => {
    called += 1;
  });
  queue.take();
  await Promise.resolve();
  expect(queue.hasRoom).toBe(true);
  expect(called).toBe(1);

  for (let index = 0; index < 3; index++) queue.offer(append(1));
  expect(queue.hasRoom).toBe(false);
  queue.take();
  expect(queue.hasRoom).toBe(false);
  queue.take();
  expect(queue.hasRoom).toBe(true);
  await Promise.resolve();
  expect(called).toBe(1);
});

test("at twice a bound an append stays with its caller", () => {
  const byCount = new ProposalQueue({ bytes: 1000, count: 2 });
  for (let index = 0; index < 4; index++) expect(byCount.offer(append(1))).toBe(true);
  expect(byCount.offer(append(1))).toBe(false);
  expect(byCount.length).toBe(4);

  const byBytes = new ProposalQueue({ bytes: 100, count: 100 });
  expect(byBytes.offer(append(150))).toBe(true);
  expect(byBytes.offer(append(51))).toBe(false);
  expect(byBytes.offer(append(50))).toBe(true);
});

test("whoever asks for room while there is some is called back, but not within the call", async () => {
  const queue = new ProposalQueue({ bytes: 100, count: 4 });
  let called = false;
  queue.whenRoom(() => {
    called = true;
  });
  expect(called).toBe(false);
  await Promise.resolve();
  expect(called).toBe(true);
});
