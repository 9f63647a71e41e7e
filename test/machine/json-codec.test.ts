import fc from "fast-check";
import { expect, test } from "vitest";
import { jsonCodec } from "../../src/machine/json-codec.ts";

test("every JSON value comes back as it was", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      // JSON has one zero.
      const expected: unknown = JSON.parse(JSON.stringify(value));
      expect(jsonCodec.decode(jsonCodec.encode(value))).toEqual(expected);
    }),
  );
  expect(jsonCodec.decode(jsonCodec.encode({ a: undefined, b: 1 }))).toEqual({ b: 1 });
});

test.each([
  ["NaN", { amount: Number.NaN }, /it\.amount is NaN/],
  ["a bigint", { amount: 5n }, /it\.amount is no JSON value/],
  ["a Map", { names: [new Map()] }, /it\.names\[0\] is no JSON value/],
  ["a function", () => {}, /it is no JSON value/],
  ["undefined in a list", [undefined], /it\[0\] is no JSON value/],
  ["a date", new Date(0), /it is no JSON value/],
])("%s is refused with its path, where JSON would change it without a word", (_name, value, reason) => {
  expect(() => jsonCodec.encode(value)).toThrow(reason);
});

test("a value that holds itself is refused, not followed for ever", () => {
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  expect(() => jsonCodec.encode(loop)).toThrow(/deeper than/);
});

test("bytes that are no JSON in UTF-8 are refused", () => {
  for (const bytes of [Buffer.from("{"), Buffer.from([0x22, 0xff, 0x22]), Buffer.alloc(0)]) {
    expect(() => jsonCodec.decode(bytes)).toThrow();
  }
});
