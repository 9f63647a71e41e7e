// Goal: what waits to be appended goes first in, first out, and the queue holds nothing of a call that has left it. Method: calls whose
// records can be seen to be collected.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { PendingAppend, PendingQueue } from "../../src/client/pending-append.ts";

const collect = (): void => {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
};

function push(queue: PendingQueue): WeakRef<object> {
  const record = { value: new Uint8Array(10) };
  queue.push(new PendingAppend({ kind: "records", records: [record] }, {}));
  return new WeakRef(record);
}

test("a call that has left the queue keeps none of its records in memory", async () => {
  const queue = new PendingQueue();
  const records = Array.from({ length: 20 }, () => push(queue));
  for (let each = 0; each < 15; each += 1) queue.shift();
  // What a WeakRef gave stays until the end of the turn.
  await new Promise(setImmediate);
  collect();
  expect(records.filter((record) => record.deref() !== undefined)).toHaveLength(5);
  expect(queue.length).toBe(5);
  expect(queue.sizeHint).toBe(5 * 14);
});
