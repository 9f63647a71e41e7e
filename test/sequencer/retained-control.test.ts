// Every TRIM, HOLD and SNAPSHOT entry that a sequencer makes is read back, and everything else is called unknown, never misread.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Hash, Position, Slot } from "../../src/base/types.ts";
import {
  decodeHold,
  decodeSnapshotControl,
  decodeTrim,
  encodeHold,
  encodeSnapshotControl,
  encodeTrim,
} from "../../src/sequencer/retained-control.ts";

const whole = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const place = fc.record({ position: whole, slot: whole }).map(({ position, slot }) => ({
  position: position as Position,
  slot: slot as Slot,
}));
const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });

describe("the payload of an entry about what is kept", () => {
  test("is read back as it was made", () => {
    fc.assert(
      fc.property(place, name, name, whole, (at, text, owner, expiresAt) => {
        expect(decodeTrim(encodeTrim(at))).toEqual(at);
        const put = { op: "put", hold: { name: text, owner, at, expiresAt } } as const;
        expect(decodeHold(encodeHold(put))).toEqual(put);
        for (const op of ["drop", "expire"] as const) {
          expect(decodeHold(encodeHold({ op, name: text }))).toEqual({ op, name: text });
        }
      }),
    );
    const compare = { op: "compare", slot: 7 as Slot, rootHash: "ab".repeat(16) as Hash } as const;
    expect(decodeSnapshotControl(encodeSnapshotControl(compare))).toEqual(compare);
    expect(decodeSnapshotControl(encodeSnapshotControl({ op: "take" }))).toEqual({ op: "take" });
  });

  test("that is cut short, of another operation or out of range is not understood", () => {
    const at = { position: 5 as Position, slot: 3 as Slot };
    const trim = encodeTrim(at);
    const hold = encodeHold({ op: "put", hold: { name: "n", owner: "o", at, expiresAt: 9 } });
    const take = encodeSnapshotControl({ op: "take" });
    expect(decodeTrim(trim.subarray(1))).toBeUndefined();
    expect(decodeTrim(new Uint8Array(16))).toBeUndefined();
    for (let length = 0; length < hold.length; length += 1)
      expect(decodeHold(hold.subarray(0, length))).toBeUndefined();
    expect(decodeHold(hold.with(0, 9))).toBeUndefined();
    expect(decodeHold(hold.with(8, 0))).toBeUndefined();
    expect(decodeHold(hold.with(32, 0xff))).toBeUndefined();
    expect(decodeSnapshotControl(take.subarray(1))).toBeUndefined();
    expect(decodeSnapshotControl(take.with(0, 9))).toBeUndefined();
  });
});
