// The content of a snapshot: canonical, read back as it was made, in pieces or at once, and never misread.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat } from "../../src/base/bytes.ts";
import type { Hash, NodeId, Position, Slot, Uid } from "../../src/base/types.ts";
import type { Genesis } from "../../src/core/durable.ts";
import type { SequencerSnapshot } from "../../src/core/sequencer.ts";
import { decodeSnapshot, encodeSnapshot, encodeSnapshotPieces } from "../../src/format/snapshot-state.ts";
import { emptyWindow } from "../../src/sequencer/log-state.ts";

const whole = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const text = fc.string({ unit: "grapheme", maxLength: 8 });
const hex = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString("hex"));
const place = fc.record({ position: whole as fc.Arbitrary<Position>, slot: whole as fc.Arbitrary<Slot> });
const refusal = fc.record({
  guard: fc.constantFrom("expectedTail" as const, "fencingToken" as const, "condition" as const, "stream" as const),
  index: fc.integer({ min: 0, max: 0xffff }),
  actual: whole,
  tail: whole as fc.Arbitrary<Position>,
});
const outcome = fc.record({
  serial: whole,
  slot: whole as fc.Arbitrary<Slot>,
  firstPosition: whole as fc.Arbitrary<Position>,
  recordCount: fc.integer({ min: 0, max: 65_536 }),
  time: whole,
  refusal: fc.option(refusal, { nil: undefined }),
});
const session = fc.record({
  id: whole,
  ttlMs: whole,
  expiresAt: whole,
  forgotten: fc.boolean(),
  announceEnd: fc.boolean(),
  outcomes: fc.array(outcome, { maxLength: 5 }),
});
const state = fc
  .record({
    end: whole as fc.Arbitrary<Slot>,
    nextPosition: whole as fc.Arbitrary<Position>,
    time: whole,
    fence: whole,
    retained: fc.record({
      head: place,
      holds: fc.array(fc.record({ name: text, owner: text, at: place, expiresAt: whole }), { maxLength: 3 }),
      snapshot: fc.option(
        fc.record({
          slot: whole as fc.Arbitrary<Slot>,
          rootHash: fc.option(hex as fc.Arbitrary<Hash>, { nil: undefined }),
        }),
        { nil: undefined },
      ),
    }),
    sessions: fc.array(session, { maxLength: 6 }),
  })
  .map((parts): SequencerSnapshot => ({ ...parts, window: emptyWindow(parts.nextPosition) }));

const genesis: Genesis = {
  clusterId: "cd".repeat(16) as Uid,
  nodeId: 2 as NodeId,
  members: ["a", "b"].map((name, index) => ({
    nodeId: (index + 1) as NodeId,
    nodeUid: `${index}`.repeat(32) as Uid,
    name,
    peerAddress: `${name}:1`,
    clientAddress: `${name}:2`,
  })),
};

describe("the content of a snapshot", () => {
  test("is read back as it was made, and is the same in pieces", () => {
    fc.assert(
      fc.property(state, (made) => {
        const bytes = encodeSnapshot(made, genesis);
        const { clusterId, members } = genesis;
        const named = members.map(({ nodeId, nodeUid, name }) => ({ nodeId, nodeUid, name }));
        const configuration = { clusterId, configId: 1, members: named };
        expect(decodeSnapshot(bytes)).toEqual({ kind: "ok", state: made, configuration });
        expect(concat([...encodeSnapshotPieces(made, genesis, 64)])).toEqual(bytes);
      }),
    );
  });

  test("may be as large as sessions make it", () => {
    // Of every length, so that each kind of field comes to stand where more room is needed.
    for (let count = 0; count < 200; count += 1) {
      const one = { slot: 1 as Slot, firstPosition: 1 as Position, recordCount: 7, time: 1, refusal: undefined };
      const outcomes = Array.from({ length: count }, (_, index) => ({ ...one, serial: index + 1 }));
      const sessions = [1, 2].map((id) => ({
        id,
        ttlMs: 1,
        expiresAt: 1,
        forgotten: false,
        announceEnd: false,
        outcomes,
      }));
      const made = { ...fc.sample(state, 1)[0]!, sessions };
      expect(decodeSnapshot(encodeSnapshot(made, genesis))).toMatchObject({ kind: "ok", state: made });
    }
  });

  test("does not depend on the node that makes it", () => {
    const made = fc.sample(state, 1)[0]!;
    const elsewhere: Genesis = {
      ...genesis,
      nodeId: 1 as NodeId,
      members: genesis.members.map((member) => ({ ...member, peerAddress: "elsewhere:9" })),
    };
    const window = { ...emptyWindow(7 as Position), lows: Uint32Array.of(1), highs: Uint32Array.of(2) };
    expect(encodeSnapshot({ ...made, window }, elsewhere)).toEqual(encodeSnapshot(made, genesis));
  });

  test("that is cut short, longer, or of another version is malformed, whatever the bytes are", () => {
    const bytes = encodeSnapshot(fc.sample(state, 1)[0]!, genesis);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(decodeSnapshot(bytes.subarray(0, length)).kind).toBe("malformed");
    }
    expect(decodeSnapshot(concat([bytes, Uint8Array.of(0)])).kind).toBe("malformed");
    expect(decodeSnapshot(bytes.with(4, 2))).toEqual({ kind: "malformed", reason: "version 2 is not known" });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (any) => decodeSnapshot(any).kind === "malformed"));
  });
});
