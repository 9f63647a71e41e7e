// Goal: who watches a counter or a register and has fallen behind what its machine remembers hears so by name, in the program as over
// the network, and goes on from what is remembered. Method: the built files, and more changes than the bytes that machines keep.
import { join } from "node:path";
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { connect as Connect } from "../../src/client/connect.ts";
import type { Log } from "../../src/client/log.ts";
import { open, temp } from "./opened-logs.ts";

const built = "../../dist/client/connect.js";
const { connect } = (await import(built)) as { connect: typeof Connect };

const timeout = 120_000;
const longName = "n".repeat(limits.objectNameBytesMax - 24);
/** A quarter more than fits. */
const timesOver = (bytes: number): number => Math.ceil((1.25 * limits.changesBytesMax) / bytes);

/** Many under way at once, but not all. */
async function repeat(times: number, once: () => Promise<unknown>): Promise<void> {
  for (let done = 0; done < times; done += 256) await Promise.all(Array.from({ length: 256 }, once));
}

interface Watched {
  readonly what: "counters" | "registers";
  /** The value at each change from a position on; undefined: from now on. */
  watch(log: Log, from?: number): AsyncGenerator<{ position: number }, void, void>;
  change(log: Log): Promise<unknown>;
  /** So many forget the first of them. */
  readonly changes: number;
}

const cases: readonly Watched[] = [
  {
    what: "counters",
    watch: (log, from) => log.counter(longName).watch({ from }) as AsyncGenerator<{ position: number }, void, void>,
    change: (log) => log.counter(longName).fetchAdd(1),
    changes: timesOver(longName.length),
  },
  {
    what: "registers",
    watch: (log, from) => log.register("r").watch({ from }) as AsyncGenerator<{ position: number }, void, void>,
    change: (log) => log.register("r").set(Buffer.alloc(32 * 1024, "v")),
    changes: timesOver(32 * 1024),
  },
];

test.each(cases)(
  "a watch of $what that fell behind what is remembered ends with CHANGES_GONE, on every way",
  {
    timeout,
  },
  async ({ what, watch, change, changes }) => {
    const embedded = await open({ dir: join(temp.path, "log"), listen: "127.0.0.1:0" });
    const remote = await connect(embedded.clientAddress!, { deadlineMs: 30_000 });
    try {
      const { tail: begin } = await embedded.tail();
      // It has the first change, and takes nothing more for a while.
      const slow = watch(embedded, begin);
      await change(embedded);
      expect((await slow.next()).done).toBe(false);
      await repeat(changes, () => change(embedded));

      const gone = { code: "CHANGES_GONE", outcome: "none", facts: { machine: what } };
      await expect(drained(slow)).rejects.toMatchObject(gone);
      for (const log of [embedded, remote]) {
        await expect(watch(log, begin).next()).rejects.toMatchObject({
          ...gone,
          facts: { machine: what, from: begin },
        });
        const { tail } = await log.tail();
        const later = watch(log, tail);
        await change(log);
        expect((await later.next()).value!.position).toBeGreaterThanOrEqual(tail);
        await later.return();
      }
    } finally {
      await remote.close();
    }
  },
);

async function drained(changes: AsyncIterable<unknown>): Promise<void> {
  let count = 0;
  for await (const _ of changes) count += 1;
  throw new Error(`it ended after ${count} changes`);
}
