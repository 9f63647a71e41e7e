// Goal: a linearizable read is answered only by a request that began after it, shares that request with others, and never waits
// for ever. Method: the core's answers and the clock are given by hand.
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { LinearReads } from "../../src/runtime/linear-reads.ts";

function readsWithIds() {
  let last = 0;
  return new LinearReads(() => ++last, 1000);
}

/** Whether a promise is settled by now, and how. */
async function stateOf(promise: Promise<void>): Promise<string> {
  const pending = Symbol();
  try {
    return (await Promise.race([promise, Promise.resolve(pending)])) === (pending as unknown) ? "pending" : "ready";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

test("all reads before a turn share one request, a later one waits for the next", async () => {
  const reads = readsWithIds();
  const early = [reads.wait(0), reads.wait(0)];
  const first = reads.next()!;
  const late = reads.wait(0);
  expect(reads.asks).toBe(true);
  reads.ready(first.requestId);
  expect(await Promise.all(early.map(stateOf))).toEqual(["ready", "ready"]);
  expect(await stateOf(late)).toBe("pending");
  const second = reads.next()!;
  expect(second.requestId).not.toBe(first.requestId);
  reads.ready(second.requestId);
  expect(await stateOf(late)).toBe("ready");
});

test("a refused request is made again under a new id, but only after a tick", async () => {
  const reads = readsWithIds();
  const waiting = reads.wait(0);
  const first = reads.next()!;
  reads.refused(first.requestId);
  expect(reads.next()).toBeUndefined();
  reads.tick(25);
  const second = reads.next()!;
  expect(second.requestId).toBeGreaterThan(first.requestId);
  // The answer to the first request comes late and means nothing any more.
  reads.ready(first.requestId);
  expect(await stateOf(waiting)).toBe("pending");
  reads.ready(second.requestId);
  expect(await stateOf(waiting)).toBe("ready");
});

test("a read gives up at its deadline with UNAVAILABLE, whether it was asked for or not", async () => {
  const reads = readsWithIds();
  const asked = reads.wait(0);
  reads.next();
  const unasked = reads.wait(0);
  reads.tick(999);
  expect(await stateOf(asked)).toBe("pending");
  reads.tick(1000);
  expect(await stateOf(asked)).toBe("UNAVAILABLE");
  expect(await stateOf(unasked)).toBe("UNAVAILABLE");
  expect(reads.next()).toBeUndefined();
});

test("a caller that gives up is told at once and asks for nothing more", async () => {
  const reads = readsWithIds();
  const controller = new AbortController();
  const waiting = reads.wait(0, controller.signal);
  controller.abort();
  expect(await stateOf(waiting)).toBe("CANCELLED");
  expect(reads.next()).toBeUndefined();
  expect(await stateOf(reads.wait(0, controller.signal))).toBe("CANCELLED");
});

test("more reads than the bound are refused", async () => {
  const reads = readsWithIds();
  const waiting = Array.from({ length: limits.linearReadsMax }, () => reads.wait(0));
  expect(await stateOf(reads.wait(0))).toBe("OVERLOADED");
  reads.ready(reads.next()!.requestId);
  await Promise.all(waiting);
  const after = reads.wait(0);
  expect(await stateOf(after)).toBe("pending");
  reads.ready(reads.next()!.requestId);
  await after;
});
