// Goal: fields written by hand are what protobuf reads. Method: generated values, read back by the runtime of protobufjs.
import fc from "fast-check";
import protobuf from "protobufjs/minimal.js";
import { expect, test } from "vitest";
import { FieldReader, FieldWriter } from "../../src/format/wire-bytes.ts";

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

const text = fc.oneof(fc.string(), fc.string({ unit: "binary", maxLength: 200 }), fc.constant("x".repeat(64)));
const signed = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer(),
  fc.constantFrom(0, -1, 63, 64, -64, -65, 2 ** 53 - 1, 1 - 2 ** 53),
);

test("texts, bytes, signed numbers and nested messages are read as they were written", () => {
  const writer = new FieldWriter();
  fc.assert(
    fc.property(text, fc.uint8Array({ maxLength: 300 }), signed, fc.maxSafeNat(), (name, bytes, delta, choice) => {
      writer.clear();
      writer.text(1, name);
      const nested = writer.begin(2);
      writer.bytesChoice(1, bytes);
      writer.signedChoice(2, delta);
      writer.end(nested);
      writer.choice(3, choice);
      const reader = protobuf.Reader.create(writer.finish());
      if (name !== "") {
        expect(reader.uint32()).toBe(10);
        expect(reader.string()).toBe(name);
      }
      expect(reader.uint32()).toBe(18);
      const end = reader.uint32() + reader.pos;
      expect(reader.uint32()).toBe(10);
      expect(Buffer.from(reader.bytes())).toEqual(Buffer.from(bytes));
      expect(reader.uint32()).toBe(16);
      expect(Number(reader.sint64())).toBe(delta);
      expect(reader.pos).toBe(end);
      expect(reader.uint32()).toBe(24);
      expect(Number(reader.uint64())).toBe(choice);
      expect(reader.pos).toBe(reader.len);
    }),
  );
});

test("a reader finds what a writer wrote, and is done only where it was all of it", () => {
  const writer = new FieldWriter();
  const reader = new FieldReader();
  const ascii = fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 100 });
  fc.assert(
    fc.property(
      ascii,
      fc.uint8Array({ maxLength: 300 }),
      signed,
      fc.maxSafeNat(),
      fc.nat(),
      (name, bytes, delta, choice, cut) => {
        writer.clear();
        writer.text(1, name);
        const ends = [0, writer.length];
        const nested = writer.begin(2);
        writer.bytesChoice(1, bytes);
        writer.signedChoice(2, delta);
        writer.end(nested);
        ends.push(writer.length);
        writer.choice(15, choice);
        const written = writer.finish();
        reader.over(written);
        expect(reader.varint(1)).toBeUndefined();
        expect(reader.ascii(1)).toBe(name);
        const outer = reader.enter(2);
        expect(Buffer.from(reader.bytes(1)!)).toEqual(Buffer.from(bytes));
        expect(reader.signed(2)).toBe(delta);
        expect(reader.leave(outer!)).toBe(true);
        expect(reader.isDone).toBe(false);
        expect(reader.varint(15)).toBe(choice);
        expect(reader.isDone).toBe(true);
        // Cut inside of a field it is not done.
        reader.over(written.subarray(0, cut % written.length));
        reader.ascii(1);
        const inner = reader.enter(2);
        reader.bytes(1);
        reader.signed(2);
        if (inner !== undefined) reader.leave(inner);
        reader.varint(15);
        expect(reader.isDone).toBe(ends.includes(cut % written.length));
      },
    ),
  );
});

test("a reader finds no number above 2^53, and no text beyond ASCII", () => {
  const reader = new FieldReader();
  const large = protobuf.Writer.create()
    .uint32(8)
    .uint64(2 ** 53)
    .finish();
  expect(reader.over(large).varint(1)).toBeUndefined();
  expect(reader.isDone).toBe(false);
  const below = protobuf.Writer.create()
    .uint32(8)
    .sint64(-(2 ** 53))
    .finish();
  expect(reader.over(below).signed(1)).toBeUndefined();
  expect(reader.isDone).toBe(false);
  const other = protobuf.Writer.create().uint32(10).string("\u00fc").finish();
  expect(reader.over(other).ascii(1)).toBeUndefined();
  expect(reader.isDone).toBe(false);
});
