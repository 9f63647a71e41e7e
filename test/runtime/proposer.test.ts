// Goal: what is asked is answered exactly once, with the error that fits, and of what a caller asked a prefix is handed to the core.
// Method: a proposer whose core is the test.
import { beforeEach, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import { position } from "../../src/base/types.ts";
import type { AppendAnswer } from "../../src/core/effect.ts";
import type { AppendProposal, Proposal } from "../../src/core/event.ts";
import type { Guards } from "../../src/core/guards.ts";
import { decodeBatch } from "../../src/format/batch-decode.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { Proposer } from "../../src/runtime/proposer.ts";
import { AppendCaller } from "../../src/transport/append-caller.ts";
import type { AppendOrder, AppendResult } from "../../src/transport/backend.ts";

let proposer: Proposer;
let heard: string[];

beforeEach(() => {
  let requestId = 0;
  heard = [];
  proposer = new Proposer({
    name: "a",
    nextRequestId: () => {
      requestId += 1;
      return requestId;
    },
    notLeader: () => new PaxlogError("NOT_LEADER", "b leads", { facts: { leader: "b:1" } }),
    diskRoom: () => "enough",
  });
});

function append(name: string, order?: AppendOrder, guards?: Guards): void {
  const batch = { batch: encodeBatch([{ value: name }]), crc32c: 1, recordCount: 1 };
  const done = (result: AppendResult) =>
    heard.push(result.kind === "failed" ? `${name}: ${result.error.code} ${result.error.outcome}` : name);
  proposer.append(batch, guards, done, order);
}

const textOf = ({ payload }: AppendProposal) => Buffer.from(decodeBatch(payload.batch).value(0)).toString();
const everything = { slots: 100, bytes: 1_000_000 };
const nameOf = (proposal: Proposal) => (proposal.kind === "append" ? textOf(proposal) : proposal.kind);
const take = (room = everything) => proposer.next(room).map((proposal) => [nameOf(proposal), proposal.requestId]);
const acknowledged = { kind: "acknowledged", firstPosition: position(1), recordCount: 1, time: 1 } as const;
const lost: AppendAnswer = { kind: "failed", code: "LEADER_LOST", outcome: "unknown" };
const order = (independent = false, caller = new AppendCaller()): AppendOrder => ({ caller, independent });

test("proposals leave in order, as many as there is room for", () => {
  for (const name of ["a", "b", "c"]) append(name);
  expect(take({ slots: 2, bytes: 1_000_000 })).toEqual([
    ["a", 1],
    ["b", 2],
  ]);
  expect([proposer.waitingCount, proposer.orderedCount]).toEqual([1, 2]);
  expect(take({ slots: 2, bytes: 0 })).toEqual([]);
  expect(take({ slots: 2, bytes: 1 })).toEqual([["c", 3]]);
  proposer.answer(2, acknowledged);
  proposer.answer(1, lost);
  expect(heard).toEqual(["b", "a: LEADER_LOST unknown"]);
});

test("after a lost ballot nothing of the same caller is ordered in the next one, although it still waits", () => {
  const [one, another] = [order(), order()];
  append("1", one);
  take();
  append("2", one);
  append("3", another);
  append("4");
  proposer.answer(1, lost);
  expect(take().map(([name]) => name)).toEqual(["3", "4"]);
  append("5", one);
  expect(heard).toEqual(["1: LEADER_LOST unknown", "2: LEADER_LOST none"]);
});

test("no answer comes within the call", async () => {
  const one = order();
  one.caller.failed(new PaxlogError("OVERLOADED", "full"), false);
  append("1", one);
  proposer.end(new PaxlogError("CLOSED", "stopped"));
  append("2");
  expect(heard).toEqual([]);
  await Promise.resolve();
  expect(heard).toEqual(["1: OVERLOADED none", "2: CLOSED none"]);
});

test("a caller whose append found no room is refused from then on, although there is room again", async () => {
  const one = order();
  const large = "x".repeat(limits.recordBytesMax);
  for (let bytes = 0; bytes < 2 * limits.proposalQueueBytes; bytes += large.length) append(large);
  append(large, one);
  expect(take().length).toBeGreaterThan(0);
  append("2", one);
  await Promise.resolve();
  expect(heard.slice(1)).toEqual([`${large}: OVERLOADED none`, "2: OVERLOADED none"]);
});

test("what waits on a node that does not lead is sent to the leader", () => {
  append("1");
  proposer.refuseWaiting();
  expect(heard).toEqual(["1: NOT_LEADER none"]);
});

test("at the end what the core holds is unknown, what waits is not written", async () => {
  append("1");
  take();
  append("2");
  proposer.end(new PaxlogError("STORAGE_FAILED", "the disk failed"));
  expect(heard).toEqual(["1: STORAGE_FAILED unknown", "2: STORAGE_FAILED none"]);
  expect(proposer.hasRoom).toBe(true);
});
