// Goal: fields written by hand are what protobuf reads. Method: generated values, read back by the runtime of protobufjs.
import fc from "fast-check";
import protobuf from "protobufjs/minimal.js";
import { expect, test } from "vitest";
import { FieldWriter } from "../../src/format/wire-bytes.ts";

test("every field that is written is read as it was, and what is zero takes no bytes", () => {
  const writer = new FieldWriter();
  const number = fc.oneof(
    fc.maxSafeNat(),
    fc.nat(),
    fc.constantFrom(0, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1),
  );
  const field = fc.integer({ min: 1, max: 5000 });
  const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  fc.assert(
    fc.property(
      field,
      number,
      word,
      fc.array(word, { maxLength: 300 }),
      fc.uint8Array(),
      (at, value, fixed, list, bytes) => {
        writer.clear();
        writer.varint(at, value);
        writer.fixed32(at, fixed);
        writer.packed(at, list);
        writer.bytesHead(at, bytes.length);
        const reader = protobuf.Reader.create(Buffer.concat([writer.piece(0), bytes]));
        if (value > 0) {
          expect(reader.uint32()).toBe(at * 8);
          expect(Number(reader.uint64())).toBe(value);
        }
        if (fixed > 0) {
          expect(reader.uint32()).toBe(at * 8 + 5);
          expect(reader.fixed32()).toBe(fixed);
        }
        if (list.length > 0) {
          expect(reader.uint32()).toBe(at * 8 + 2);
          const end = reader.uint32() + reader.pos;
          const found: number[] = [];
          while (reader.pos < end) found.push(reader.uint32());
          expect(found).toEqual(list);
        }
        expect(reader.uint32()).toBe(at * 8 + 2);
        expect(Buffer.from(reader.bytes())).toEqual(Buffer.from(bytes));
        expect(reader.pos).toBe(reader.len);
      },
    ),
  );
});
