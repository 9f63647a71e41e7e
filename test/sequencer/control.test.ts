// Every control entry that a sequencer makes is read back, and everything else is called unknown, never misread.
import { describe, expect, test } from "vitest";
import type { Position } from "../../src/base/types.ts";
import {
  decodeFence,
  decodeSession,
  encodeFence,
  encodeSession,
  type SessionControl,
} from "../../src/sequencer/control.ts";

describe("the payload of a control entry", () => {
  const tail = (2 ** 40) as Position;
  const controls: SessionControl[] = [
    { op: "open", ttlMs: 60_000, announceEnd: false },
    { op: "open", ttlMs: 60_000, announceEnd: true },
    { op: "keep" },
    { op: "close" },
    { op: "expire" },
    ...(["expectedTail", "fencingToken", "condition", "stream"] as const).map((guard, index) => ({
      op: "refused" as const,
      refusal: { guard, index, actual: 2 ** 41 + index, tail },
    })),
  ];

  test.each(controls)("is read back as it was made: %o", (control) => {
    expect(decodeSession(encodeSession(control))).toEqual(control);
  });

  test("of a fence is its token", () => {
    expect(decodeFence(encodeFence(2 ** 52))).toBe(2 ** 52);
  });

  test("of another length, operation, guard or size of number is not understood", () => {
    const refused = encodeSession({ op: "refused", refusal: { guard: "stream", index: 0, actual: 0, tail } });
    expect(decodeSession(refused.subarray(1))).toBeUndefined();
    expect(decodeSession(Uint8Array.from(refused, (byte, at) => (at === 0 ? 9 : byte)))).toBeUndefined();
    expect(decodeSession(Uint8Array.from(refused, (byte, at) => (at === 1 ? 9 : byte)))).toBeUndefined();
    expect(decodeSession(Uint8Array.from(refused, (byte, at) => (at === 15 ? 1 : byte)))).toBeUndefined();
    expect(decodeSession(new Uint8Array(24))).toBeUndefined();
    expect(decodeFence(new Uint8Array(7))).toBeUndefined();
    expect(decodeFence(new Uint8Array(8).fill(255))).toBeUndefined();
  });
});
