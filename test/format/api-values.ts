/** Generated values of the public API's messages, for the tests of their codecs. */
import fc from "fast-check";
import type { Position } from "../../src/base/types.ts";
import type { Guards, StreamGuard } from "../../src/core/guards.ts";

const text = fc.string({ unit: "binary", maxLength: 12 });
const texts = fc.array(text, { maxLength: 3 });
const natural = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const position = natural.map((value) => value as Position);

export const queries = fc.record({
  items: fc.array(fc.record({ types: texts, tags: texts }), { minLength: 1, maxLength: 3 }),
});

const condition = fc.record({
  query: queries,
  after: fc.maxSafeNat().map((value) => value as Position),
});

const stream: fc.Arbitrary<StreamGuard> = fc.record({
  tag: text,
  expected: fc.oneof(fc.constantFrom("any" as const, "noStream" as const, "streamExists" as const), position),
});

/** Guards that demand something. */
export const guards: fc.Arbitrary<Guards> = fc
  .record(
    {
      expectedTail: position,
      fencingToken: fc.maxSafeNat(),
      session: fc.record({ id: natural, serial: natural }),
      conditions: fc.array(condition, { minLength: 1, maxLength: 3 }),
      streams: fc.array(stream, { minLength: 1, maxLength: 3 }),
    },
    { requiredKeys: [] },
  )
  .filter((value) => Object.keys(value).length > 0);

/** Bytes compare by their content: Buffer and Uint8Array are alike here. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}
