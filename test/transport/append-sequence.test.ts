// Goal: of what a caller hands on a prefix is in the log, answers keep their order, and the final error never promises too much.
// Method: a backend that answers when and as the test says.
import { beforeEach, describe, expect, test } from "vitest";
import { type ErrorCode, PaxlogError } from "../../src/base/errors.ts";
import { position } from "../../src/base/types.ts";
import type { Guards } from "../../src/core/guards.ts";
import { AppendCaller } from "../../src/transport/append-caller.ts";
import type { CheckedAppend } from "../../src/transport/append-check.ts";
import { AppendSequence } from "../../src/transport/append-sequence.ts";
import type { AcknowledgedAppend, AppendOrder, AppendResult } from "../../src/transport/backend.ts";

interface Handed {
  readonly guards: Guards | undefined;
  readonly order: AppendOrder;
  readonly done: (result: AppendResult) => void;
}

let handed: Handed[];
let heard: (number | ErrorCode)[];
let settledCount: number;
let sequence: AppendSequence<CheckedAppend, AcknowledgedAppend>;

beforeEach(() => {
  handed = [];
  heard = [];
  settledCount = 0;
  sequence = new AppendSequence(({ guards }, done, order) => void handed.push({ guards, done, order }), {
    acknowledged: ({ firstPosition }) => heard.push(firstPosition),
    refused: ({ code }) => heard.push(code),
  });
});

const batch = { batch: new Uint8Array(1), crc32c: 0, recordCount: 1 };

function append(independent: boolean, guards?: Guards): void {
  sequence.append({ batch, guards, independent }, () => {
    settledCount += 1;
  });
}

const acknowledge = (index: number, at: number) =>
  handed[index]!.done({ kind: "acknowledged", firstPosition: position(at), recordCount: 1, time: 1 });
const refuse = (index: number, code: ErrorCode, outcome: "none" | "unknown" = "none") =>
  handed[index]!.done({ kind: "failed", error: new PaxlogError(code, "no", { outcome }) });

test("answers come in the order of the appends, whichever is known first", () => {
  for (let index = 0; index < 4; index += 1) append(true);
  acknowledge(2, 7);
  acknowledge(1, 6);
  expect(heard).toEqual([]);
  refuse(0, "CONDITION_FAILED");
  expect(heard).toEqual(["CONDITION_FAILED", 6, 7]);
  acknowledge(3, 8);
  expect(heard).toEqual(["CONDITION_FAILED", 6, 7, 8]);
  expect([sequence.unansweredCount, sequence.failed, settledCount]).toEqual([0, false, 4]);
  expect(sequence.failure()).toBeUndefined();
});

test("a failed guard ends the sequence, and what is refused behind it has outcome none", () => {
  for (let index = 0; index < 3; index += 1) append(false);
  acknowledge(0, 1);
  refuse(1, "TAIL_MISMATCH");
  expect(sequence.failed).toBe(true);
  refuse(2, "TAIL_MISMATCH");
  expect(heard).toEqual([1]);
  expect(sequence.failure()).toMatchObject({ code: "TAIL_MISMATCH", outcome: "none", facts: { acknowledged: 1 } });
});

test.each([
  ["may be in the log", (index: number) => refuse(index, "LEADER_LOST", "unknown")],
  ["is in the log after all", (index: number) => acknowledge(index, 9)],
])("the outcome is unknown where something behind the failure %s", (_what, answer) => {
  append(false);
  append(false);
  refuse(0, "OVERLOADED");
  answer(1);
  expect(sequence.failure()).toMatchObject({ code: "OVERLOADED", outcome: "unknown", facts: { acknowledged: 0 } });
});

test("answers that were refusals count as answered", () => {
  for (let index = 0; index < 3; index += 1) append(true);
  acknowledge(0, 1);
  refuse(1, "STREAM_REVISION_MISMATCH");
  refuse(2, "LEADER_LOST", "unknown");
  expect(heard).toEqual([1, "STREAM_REVISION_MISMATCH"]);
  expect(sequence.failure()).toMatchObject({ code: "LEADER_LOST", outcome: "unknown", facts: { acknowledged: 2 } });
});

test("a request of a session is independent, whatever its sender says", () => {
  append(false, { session: { id: 4, serial: 1 } });
  append(false, { expectedTail: position(1) });
  expect(handed.map(({ order }) => order.independent)).toEqual([true, false]);
  expect(handed[0]!.order.caller).toBe(handed[1]!.order.caller);
  refuse(0, "SESSION_OVERFLOW");
  expect(heard).toEqual(["SESSION_OVERFLOW"]);
  expect(sequence.failed).toBe(false);
});

test("why it ends otherwise is told where nothing failed", () => {
  append(false);
  acknowledge(0, 1);
  const closed = new PaxlogError("CLOSED", "the node is stopping");
  expect(sequence.failure(closed)).toMatchObject({ code: "CLOSED", facts: { acknowledged: 1 } });
});

describe("a caller", () => {
  test("is refused after a failure, with outcome none and for the same reason", () => {
    const caller = new AppendCaller();
    expect(caller.refusal).toBeUndefined();
    caller.failed(new PaxlogError("LEADER_LOST", "lost", { outcome: "unknown" }), false);
    caller.failed(new PaxlogError("OVERLOADED", "full"), false);
    expect(caller.refusal).toMatchObject({ code: "LEADER_LOST", outcome: "none", retryable: true });
  });

  test("goes on after the verdict on an independent append, and not after any other failure of one", () => {
    const caller = new AppendCaller();
    caller.failed(new PaxlogError("CONDITION_FAILED", "no"), true);
    expect(caller.refusal).toBeUndefined();
    caller.failed(new PaxlogError("NOT_LEADER", "elsewhere"), true);
    expect(caller.refusal).toMatchObject({ code: "NOT_LEADER" });
  });

  test("has a number of its own", () => {
    const ids = Array.from({ length: 10 }, () => new AppendCaller().id);
    expect(new Set(ids).size).toBe(10);
    expect(Math.min(...ids)).toBeGreaterThan(0);
  });
});
