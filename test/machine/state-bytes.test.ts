// Goal: what a state was written as is what is read, wherever the pieces are cut; bytes that are no state are refused. Method: generated
// values, cuts and damage.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, toHex } from "../../src/base/bytes.ts";
import { byteStringOf, bytesOf } from "../../src/machine/byte-string.ts";
import { StateReader, StateWriter } from "../../src/machine/state-bytes.ts";

type Item =
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "signed"; readonly value: number }
  | { readonly kind: "bytes"; readonly value: Uint8Array }
  | { readonly kind: "byteString"; readonly value: Uint8Array }
  | { readonly kind: "text"; readonly value: string };

const someBytes = fc.oneof(
  fc.uint8Array({ maxLength: 100 }),
  fc.nat({ max: 70_000 }).map((length) => new Uint8Array(length).fill(7)),
);

const items: fc.Arbitrary<Item[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("number" as const), value: fc.maxSafeNat() }),
    fc.record({ kind: fc.constant("signed" as const), value: fc.maxSafeInteger() }),
    fc.record({ kind: fc.constant("bytes" as const), value: someBytes }),
    fc.record({ kind: fc.constant("byteString" as const), value: someBytes }),
    fc.record({ kind: fc.constant("text" as const), value: fc.string({ unit: "grapheme", maxLength: 50 }) }),
  ),
  { maxLength: 12 },
);

function written(all: readonly Item[]): Uint8Array[] {
  const writer = new StateWriter();
  const pieces: Uint8Array[] = [];
  for (const item of all) {
    if (item.kind === "number") writer.number(item.value);
    else if (item.kind === "signed") writer.signed(item.value);
    else if (item.kind === "bytes") writer.bytes(item.value);
    else if (item.kind === "byteString") writer.byteString(byteStringOf(item.value));
    else writer.text(item.value);
    pieces.push(...writer.full());
  }
  return [...pieces, ...writer.rest()];
}

/** Bytes as hexadecimal digits, which compare fast. */
const comparable = (value: Item["value"]): number | string => (value instanceof Uint8Array ? toHex(value) : value);

function read(reader: StateReader, { kind }: Item): number | string {
  if (kind === "number") return reader.number();
  if (kind === "signed") return reader.signed();
  if (kind === "text") return reader.text();
  return toHex(kind === "bytes" ? reader.bytes() : bytesOf(reader.byteString()));
}

describe("a state", () => {
  test("is read as it was written, in pieces of any size", () => {
    fc.assert(
      fc.property(items, fc.integer({ min: 1, max: 5000 }), (all, cut) => {
        const whole = concat(written(all));
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < whole.length; at += cut) pieces.push(whole.subarray(at, at + cut));
        for (const given of [written(all), pieces]) {
          const reader = new StateReader(given);
          expect(all.map((item) => read(reader, item))).toEqual(all.map(({ value }) => comparable(value)));
          reader.end();
        }
      }),
      { numRuns: 50 },
    );
  });

  test("that ends too early, or goes on, is refused", () => {
    const whole = concat(written([{ kind: "text", value: "alpha" }]));
    expect(() => new StateReader([whole.subarray(0, 3)]).text()).toThrow("ends inside of bytes");
    expect(() => new StateReader([]).number()).toThrow("ends inside of a number");
    const reader = new StateReader([whole.subarray(0, 4), whole.subarray(4), Uint8Array.of(1)]);
    expect(reader.text()).toBe("alpha");
    expect(() => reader.end()).toThrow("goes on behind its end");
  });

  test("with numbers that are none is refused, and no length makes it take memory", () => {
    expect(() => new StateReader([new Uint8Array(9).fill(0xff)]).number()).toThrow("out of range");
    const claimed = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3);
    expect(() => new StateReader([claimed]).bytes()).toThrow("ends inside of bytes");
    expect(() => new StateReader([Uint8Array.of(2)]).flag()).toThrow("neither yes nor no");
  });

  test("that is large leaves the writer piece by piece", () => {
    const writer = new StateWriter();
    let handed = 0;
    for (let index = 0; index < 10_000; index += 1) {
      writer.bytes(new Uint8Array(100));
      const pieces = writer.full();
      expect(pieces.length).toBeLessThanOrEqual(1);
      handed += pieces.length;
    }
    expect(handed).toBeGreaterThan(10);
  });
});
