// Goal: what any node can answer is asked of one after another, with pauses between rounds only, for as long as the caller means to.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import { NodeSearch } from "../../src/client/node-search.ts";
import { Nodes } from "../../src/client/nodes.ts";

const down = new PaxlogError("UNAVAILABLE", "no connection");
const addresses = ["a:1", "b:1", "c:1"];

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

const searchOver = (deadlineMs: number, more: { readonly address?: string; readonly since?: number } = {}) =>
  new NodeSearch({ nodes: new Nodes(addresses), deadlineMs, ...more });

/** For how long the search pauses, milliseconds. */
async function pauseOf(failed: Promise<void>): Promise<number> {
  const began = performance.now();
  let over = false;
  const done = failed.finally(() => {
    over = true;
  });
  done.catch(() => {});
  while (!over) await vi.advanceTimersByTimeAsync(1);
  await done;
  return performance.now() - began;
}

describe("a search for a node of use", () => {
  test("tries each node once without a pause, then pauses longer from round to round, up to a bound", async () => {
    const search = searchOver(60_000, { address: "b:1" });
    const tried: string[] = [];
    const pauses: number[] = [];
    for (let attempt = 1; attempt <= 30; attempt += 1) {
      tried.push(search.address);
      pauses.push(await pauseOf(search.failed(down, undefined)));
    }
    expect(tried.slice(0, 4)).toEqual(["b:1", "c:1", "a:1", "b:1"]);
    expect(Math.max(...pauses.slice(0, 2))).toBeLessThanOrEqual(1);
    expect(pauses[2]).toBeGreaterThanOrEqual(limits.clientRetryMsFirst / 2);
    expect(Math.max(...pauses)).toBeGreaterThan(limits.clientRetryMsMax / 2);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(limits.clientRetryMsMax + 1);
  });

  test("gives up with the last word after the deadline, which counts from the first failure in a row", async () => {
    const search = searchOver(1_000);
    await vi.advanceTimersByTimeAsync(5_000);
    await pauseOf(search.failed(down, undefined));
    await vi.advanceTimersByTimeAsync(900);
    search.answered();
    await pauseOf(search.failed(down, undefined));
    await vi.advanceTimersByTimeAsync(950);
    const late = new PaxlogError("UNAVAILABLE", "at last");
    await pauseOf(search.failed(down, undefined));
    await vi.advanceTimersByTimeAsync(60);
    await expect(search.failed(late, undefined)).rejects.toBe(late);
  });

  test("counts from when it is told to, and does not begin a pause that ends too late", async () => {
    const since = performance.now();
    const search = searchOver(100, { since });
    await vi.advanceTimersByTimeAsync(99);
    await search.failed(down, undefined);
    await search.failed(down, undefined);
    await expect(search.failed(down, undefined)).rejects.toBe(down);
  });

  test("never gives up where the caller is patient, and ends its pause where the caller does not want it any more", async () => {
    const search = searchOver(10);
    for (let attempt = 1; attempt <= 50; attempt += 1) await pauseOf(search.failed(down, undefined, true));
    const halt = new AbortController();
    const [failed] = [1, 2, 3].map(() => search.failed(down, halt.signal, true));
    halt.abort();
    expect(await pauseOf(failed!)).toBeLessThanOrEqual(1);
  });
});
