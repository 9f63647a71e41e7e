// Goal: the bytes of a snapshot are made in pieces, between which others work, and are those that are made at once.
import { expect, test } from "vitest";
import type { Hash, NodeId, Position, Slot, Uid } from "../../src/base/types.ts";
import type { Genesis, LogBase } from "../../src/core/durable.ts";
import type { WriteSnapshotEffect } from "../../src/core/effect.ts";
import type { SessionSnapshot } from "../../src/core/sequencer.ts";
import { encodeSnapshot } from "../../src/format/snapshot-state.ts";
import { SnapshotEncoder } from "../../src/runtime/snapshot-encoder.ts";
import { LogState } from "../../src/sequencer/log-state.ts";
import type { BackgroundWrite } from "../../src/storage/write.ts";

const session = (id: number): SessionSnapshot => ({
  id,
  ttlMs: 1000,
  expiresAt: 5,
  forgotten: false,
  announceEnd: false,
  outcomes: [],
});

const configuration: Genesis = {
  clusterId: "0123456789abcdef0123456789abcdef" as Uid,
  nodeId: 1 as NodeId,
  members: [
    {
      nodeId: 1 as NodeId,
      nodeUid: "fedcba9876543210fedcba9876543210" as Uid,
      name: "a",
      peerAddress: "",
      clientAddress: "",
    },
  ],
};
const base: LogBase = { slot: 1 as Slot, hash: "0".repeat(32) as Hash, position: 1 as Position, time: 0 };

/** A snapshot of so many sessions, which nothing else tells apart. */
function effectOf(sessions: number): WriteSnapshotEffect {
  const state = {
    ...new LogState().saveLasting(),
    sessions: Array.from({ length: sessions }, (_, index) => session(index + 1)),
  };
  return { kind: "writeSnapshot", base, state, configuration };
}

test("it is made piece by piece, and the newest of those that came meanwhile is next", () => {
  const [first, passed, last] = [effectOf(100), effectOf(1), effectOf(7)];
  const waiting: (() => void)[] = [];
  const written: BackgroundWrite[] = [];
  const encoder = new SnapshotEncoder(
    (work) => waiting.push(work),
    (write) => written.push(write),
    1024,
  );
  encoder.add(first);
  encoder.add(passed);
  encoder.add(last);
  expect(written).toEqual([]);
  let steps = 0;
  for (let work = waiting.shift(); work !== undefined; work = waiting.shift()) {
    steps += 1;
    expect(waiting).toEqual([]);
    work();
  }
  expect(steps).toBeGreaterThan(3);
  expect(written).toEqual(
    [first, last].map(({ base, state, configuration }) => ({
      kind: "snapshot",
      base,
      content: encodeSnapshot(state, configuration),
    })),
  );
});
