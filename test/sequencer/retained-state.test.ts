// Head, holds and marks as a function of the log: what entries may do to them, and that an undecided one can be taken back.
import { describe, expect, test } from "vitest";
import type { Hash, Position, Slot } from "../../src/base/types.ts";
import { everythingRetained } from "../../src/core/retained.ts";
import { encodeHold, encodeSnapshotControl, encodeTrim } from "../../src/sequencer/retained-control.ts";
import { RetainedState } from "../../src/sequencer/retained-state.ts";
import { UndoLog } from "../../src/sequencer/undo.ts";

const place = (position: number, slot = position) => ({ position: position as Position, slot: slot as Slot });
const hold = (name: string, position: number, owner = "me", expiresAt = 100) =>
  encodeHold({ op: "put", hold: { name, owner, at: place(position), expiresAt } });
const facts = (slot: number, time = 0) => ({ slot: slot as Slot, time, firstPosition: slot as Position });
const rootHash = "ab".repeat(16) as Hash;

describe("what the log keeps", () => {
  test("follows its entries, and undecided ones are taken back", () => {
    const state = new RetainedState(everythingRetained);
    const undo = new UndoLog();
    expect(state.takeHold(facts(10), hold("b", 4), undefined)).toBeUndefined();
    expect(state.takeHold(facts(11), hold("a", 6), undefined)).toBeUndefined();
    const decided = state.decided;
    expect(decided.holds.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(state.takeTrim(facts(12), encodeTrim(place(4)), undo)).toBeUndefined();
    expect(state.takeHold(facts(13), encodeHold({ op: "drop", name: "b" }), undo)).toBeUndefined();
    expect(state.ordered).toMatchObject({ head: place(4), holds: [{ name: "a" }] });
    expect(state.decided).toBe(decided);
    undo.decided(13 as Slot);
    expect(state.decided).toMatchObject({ head: place(4), holds: [{ name: "a" }, { name: "b" }] });
    undo.undoAll();
    expect(state.ordered).toEqual(state.decided);
  });

  test("knows one snapshot as the last, and one root hash for it", () => {
    const state = new RetainedState(everythingRetained);
    const compare = { op: "compare", slot: 6 as Slot, rootHash } as const;
    expect(state.wants(compare)).toBe(false);
    expect(state.takeSnapshot(facts(5), encodeSnapshotControl({ op: "take" }), undefined)).toBeUndefined();
    expect(state.decided.snapshot).toEqual({ slot: 6, rootHash: undefined });
    expect(state.takeSnapshot(facts(7), encodeSnapshotControl(compare), undefined)).toBeUndefined();
    expect(state.decided.snapshot).toEqual({ slot: 6, rootHash });
    expect(state.takeSnapshot(facts(8), encodeSnapshotControl(compare), undefined)).toMatch(/the last one is 6/);
  });

  test("tells what no sequencer may have ordered, and changes nothing then", () => {
    const state = new RetainedState(everythingRetained);
    state.takeTrim(facts(8), encodeTrim(place(5)), undefined);
    state.takeHold(facts(9), hold("a", 6), undefined);
    const before = state.ordered;
    const faults = [
      state.takeTrim(facts(10), encodeTrim(place(5)), undefined),
      state.takeTrim(facts(10), encodeTrim(place(6, 4)), undefined),
      state.takeTrim(facts(10), encodeTrim(place(11)), undefined),
      state.takeTrim(facts(10), encodeTrim(place(7)), undefined),
      state.takeTrim(facts(10), new Uint8Array(3), undefined),
      state.takeHold(facts(10), hold("a", 7, "you"), undefined),
      state.takeHold(facts(10), hold("b", 4), undefined),
      state.takeHold(facts(10), hold("b", 11), undefined),
      state.takeHold(facts(10), encodeHold({ op: "drop", name: "b" }), undefined),
      state.takeHold(facts(10, 99), encodeHold({ op: "expire", name: "a" }), undefined),
      state.takeHold(facts(10), new Uint8Array(3), undefined),
      state.takeSnapshot(facts(10), new Uint8Array(3), undefined),
    ];
    expect(faults.map((fault) => fault?.split(" ").slice(0, 4).join(" "))).toEqual([
      "the head would fall",
      "the head would fall",
      "it names the position",
      "the head would pass",
      "a trim entry that",
      "the hold a belongs",
      "the hold b would",
      "it names the position",
      "there is no hold",
      "the hold a expires",
      "a hold entry that",
      "a snapshot entry that",
    ]);
    expect(state.ordered).toBe(before);
    expect(state.takeHold(facts(10, 100), encodeHold({ op: "expire", name: "a" }), undefined)).toBeUndefined();
  });
});
