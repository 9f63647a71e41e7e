import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Codec } from "../../src/format/api-codec.ts";

export interface CodecCase<T> {
  readonly codec: Codec<T>;
  readonly values: fc.Arbitrary<T>;
}

export const caseOf = <T>(codec: Codec<T>, values: fc.Arbitrary<T>): CodecCase<unknown> =>
  ({ codec, values }) as CodecCase<unknown>;

/** What every codec owes, whatever its message: round trips, and a verdict on any bytes. `told` is how values compare. */
export function checkCodecs(
  cases: readonly (readonly [string, CodecCase<unknown>])[],
  told: (value: unknown) => unknown,
): void {
  describe.each(cases)("%s", (_name, { codec, values }) => {
    test("is the same after the wire", () => {
      fc.assert(
        fc.property(values, (value) => {
          expect(told(codec.decode(codec.encode(value)))).toEqual({ kind: "ok", value: told(value) });
        }),
      );
    });

    test("has a verdict on any bytes", () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 100 }), values, fc.nat(), (random, value, at) => {
          expect(["ok", "malformed"]).toContain(codec.decode(random).kind);
          const real = Buffer.from(codec.encode(value));
          if (real.length > 0) real[at % real.length]! ^= 0x55;
          expect(["ok", "malformed"]).toContain(codec.decode(real).kind);
        }),
        { numRuns: 300 },
      );
    });
  });
}
