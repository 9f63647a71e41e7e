// Goal: what a turn asked for is carried out whole, in order and within bounds. Method: effects by hand, targets that write down
// what reaches them.
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { Hash, NodeId, Position, Slot, Ticket } from "../../src/base/types.ts";
import { noBallot } from "../../src/core/ballot.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { Entry } from "../../src/core/entry.ts";
import type { Message } from "../../src/core/message.ts";
import { carryOut, type EffectTargets } from "../../src/runtime/effects.ts";
import type { StoreWrite } from "../../src/storage/write.ts";

const [one, two, three] = [1, 2, 3] as NodeId[] as [NodeId, NodeId, NodeId];
const hash = "00000000000000000000000000000000" as Hash;

function recorder(buffered: ReadonlyMap<NodeId, number> = new Map()) {
  const done: string[] = [];
  const submitted: StoreWrite[][] = [];
  const targets: EffectTargets = {
    network: {
      send: (to, message) => done.push(`send ${message.kind} to ${to.join()}`),
      refuse: (effect) => done.push(`refuse ${effect.to}`),
      bufferedBytes: (to) => buffered.get(to) ?? 0,
      close: async () => {},
    },
    submit: (writes, accepts) => {
      const beside = accepts ? " beside an accept" : "";
      done.push(
        `submit ${writes.map((write) => `${write.kind} ${"ticket" in write ? write.ticket : ""}`).join(", ")}${beside}`,
      );
      submitted.push([...writes]);
    },
    submitBackground: (write) => done.push(`background ${write.kind}`),
    writeSnapshot: () => done.push("snapshot"),
    readEntries: ({ requestId, fromSlot, visibleEnd }) => {
      done.push(`read from ${fromSlot}`);
      return { kind: "entries", requestId, fromSlot, entries: [], visibleEnd };
    },
    answer: (requestId, answer) => done.push(`answer ${requestId} ${answer.kind}`),
    readReady: (requestId) => done.push(`ready ${requestId}`),
    search: ({ searchId }) => done.push(`ready ${searchId}`),
    readRefused: (requestId) => done.push(`refused ${requestId}`),
    show: ({ visibleEnd }) => done.push(`show ${visibleEnd}`),
    readSnapshot: () => undefined,
    retained: ({ retained }) => done.push(`head ${retained.head.position}`),
    leadership: ({ leader, self }) => done.push(`leader ${leader} ${self}`),
    stop: ({ code }) => done.push(`stop ${code}`),
  };
  return { done, submitted, targets };
}

function entry(slot: number, bytes: number): Entry {
  return {
    slot: slot as Slot,
    originBallot: noBallot,
    floor: 1 as Slot,
    kind: "batch",
    firstPosition: slot as Position,
    recordCount: 1,
    time: 0,
    session: 0,
    serial: 0,
    batchChecksum: 0,
    guardLength: 0,
    prevHash: hash,
    hash,
    bytes: new Uint8Array(bytes),
  };
}

const append = (ticket: number, entries: Entry[]): Effect => ({
  kind: "appendGroup",
  ticket: ticket as Ticket,
  firstSlot: entries[0]!.slot,
  prevHash: hash,
  entries,
  decidedEnd: 1 as Slot,
});
const probe: Message = { kind: "probe", n: noBallot, probeId: 1 };
const stop: Effect = { kind: "stop", code: "NODE_REPLACED", reason: "", facts: {} };

test("all writes of a turn are handed over at once, before anything is sent, in their order", () => {
  const { done, submitted, targets } = recorder();
  const state = { genesis: undefined, started: false, promised: noBallot, acceptedBallot: noBallot };
  carryOut(
    [
      append(1, [entry(1, 10), entry(2, 20)]),
      { kind: "send", to: [two, three], message: probe },
      { kind: "writeSuperblock", ticket: 2 as Ticket, state, decidedEnd: 1 as Slot },
      append(3, [entry(3, 30)]),
      { kind: "answer", requestId: 7, answer: { kind: "failed", code: "NOT_LEADER", outcome: "none" } },
      { kind: "show", visibleEnd: 4 as Slot, nextPosition: 4 as Position },
    ],
    targets,
  );
  expect(done).toEqual(["submit append 1, superblock 2, append 3", "send probe to 2,3", "answer 7 failed", "show 4"]);
  expect(submitted[0]![0]).toMatchObject({ firstSlot: 1, endSlot: 3, positions: { first: 1, end: 3 } });
});

test("whoever takes the writes is told whether followers are sent entries in the same turn", () => {
  const { done, targets } = recorder();
  const accept: Message = {
    kind: "accept",
    n: noBallot,
    firstSlot: 1 as Slot,
    prevHash: hash,
    entries: [entry(1, 1)],
    decidedEnd: 1 as Slot,
  };
  carryOut([append(1, [entry(1, 1)]), { kind: "send", to: [two], message: accept }], targets);
  expect(done).toEqual(["submit append 1 beside an accept", "send accept to 2"]);
});

test("nothing behind a stop is carried out, no write either", () => {
  const { done, targets } = recorder();
  carryOut(
    [append(1, [entry(1, 1)]), stop, append(2, [entry(2, 1)]), { kind: "send", to: [two], message: probe }],
    targets,
  );
  expect(done).toEqual(["submit append 1", "stop NODE_REPLACED"]);
});

test("a peer that does not take its bytes gets no more, the others do", () => {
  const { done, targets } = recorder(new Map([[two, limits.peerBufferBytes + 1]]));
  carryOut(
    [
      { kind: "send", to: [one, two, three], message: probe },
      { kind: "send", to: [two], message: probe },
    ],
    targets,
  );
  expect(done).toEqual(["send probe to 1,3"]);
});

test("a whole window's sync goes out behind what is in flight: cut short each time, it would never be taken", () => {
  const buffered = new Map([[two, limits.inFlightBytesPerFollower + limits.messageBytesMax]]);
  const { done, targets } = recorder(buffered);
  const { send } = targets.network;
  targets.network.send = (to, message) => {
    const bytes = message.kind === "syncChunk" ? message.entries.reduce((sum, each) => sum + each.bytes.length, 0) : 0;
    buffered.set(two, buffered.get(two)! + bytes);
    send(to, message);
  };
  const count = limits.replaceBytesMax / limits.messageEntryBytes;
  const sync = Array.from({ length: count }, (_, chunk): Effect => {
    const entries = [entry(1 + chunk, limits.messageEntryBytes)];
    return { kind: "send", to: [two], message: { kind: "syncChunk", n: noBallot, syncId: 1, chunk, entries } };
  });
  const end: Message = { kind: "syncEnd", n: noBallot, syncId: 1, chunkCount: count, decidedEnd: 1 as Slot };
  carryOut([...sync, { kind: "send", to: [two], message: end }], targets);
  expect(done).toHaveLength(count + 1);
});

test("entries for a lagging peer are read and sent as one message", () => {
  const { done, targets } = recorder();
  const range = { fromSlot: 5 as Slot, end: 9 as Slot, visibleEnd: 9 as Slot };
  carryOut([{ kind: "sendEntries", to: three, requestId: 1, prevHash: hash, ...range }], targets);
  expect(done).toEqual(["read from 5", "send entries to 3"]);
});
