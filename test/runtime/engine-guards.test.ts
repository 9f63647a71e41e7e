// Goal: guards, sessions and fences through a real engine: verdicts as the log has them, and of what a caller sent a prefix.
// Method: one node alone in this thread, on a real directory.
import { afterEach, beforeEach, expect, test } from "vitest";
import { position } from "../../src/base/types.ts";
import type { Guards } from "../../src/core/guards.ts";
import { decodeBatch } from "../../src/format/batch-decode.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { AppendCaller } from "../../src/transport/append-caller.ts";
import type { AppendOrder, AppendResult } from "../../src/transport/backend.ts";
import { appendWhenLed, hashing, type LoneNode, makeTempDir, startLoneNode } from "./lone-node.ts";
import { step } from "./steps.ts";

let temp: ReturnType<typeof makeTempDir>;
let node: LoneNode;

beforeEach(async () => {
  temp = makeTempDir();
  node = await startLoneNode(temp.dir);
  await appendWhenLed(node.engine, ["first"]);
});

afterEach(async () => {
  await node.close();
  temp.remove();
});

interface Demand {
  readonly guards?: Guards;
  readonly order?: AppendOrder;
  readonly type?: string;
  readonly tags?: readonly string[];
}

function append(value: string, { guards, order, type, tags }: Demand = {}): Promise<AppendResult> {
  const record = { value, ...(type === undefined ? {} : { type }), ...(tags === undefined ? {} : { tags: [...tags] }) };
  const batch = encodeBatch([record]);
  const checked = { batch, crc32c: hashing.crc32c(batch), recordCount: 1 };
  return new Promise((resolve) => node.engine.append(checked, guards, resolve, order));
}

const inTurn = () => new Promise<void>((resolve) => setImmediate(resolve));
const at = (value: number) => position(value);
const refused = (code: string, facts: object) => ({ kind: "failed", error: { code, outcome: "none", facts } });

function valuesFrom(first: number): string[] {
  const values: string[] = [];
  for (let next = at(first); ; ) {
    const batches = node.engine.read(step(next)).batches;
    if (batches.length === 0) return values;
    for (const { batch, firstPosition, recordCount } of batches) {
      const view = decodeBatch(batch);
      for (let index = 0; index < recordCount; index += 1) values.push(Buffer.from(view.value(index)).toString());
      next = at(firstPosition + recordCount);
    }
  }
}

test("nothing of a caller is ordered behind a refusal, whenever it comes", async () => {
  const callers = 200;
  for (let number = 0; number < callers; number += 1) {
    const order = { caller: new AppendCaller(), independent: false };
    const before = append(`before ${number}`, { order });
    const verdict = append(`wrong ${number}`, { order, guards: { expectedTail: at(1) } });
    let known = false;
    void verdict.then(() => {
      known = true;
    });
    const behind: Promise<AppendResult>[] = [];
    while (!known) {
      behind.push(append(`behind ${number}`, { order }));
      await (behind.length % 2 === 0 ? inTurn() : Promise.resolve());
    }
    behind.push(append(`behind ${number}`, { order }));
    expect(await before).toMatchObject({ kind: "acknowledged" });
    expect(await verdict).toMatchObject(refused("TAIL_MISMATCH", { expected: 1, actual: 3 + number }));
    for (const result of await Promise.all(behind)) expect(result).toMatchObject(refused("TAIL_MISMATCH", {}));
  }
  expect(valuesFrom(2)).toEqual(Array.from({ length: callers }, (_, number) => `before ${number}`));
});
