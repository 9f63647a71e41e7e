// Goal: what is kept of replies is a function of the commands, inside of the bounds, and the same after a save. Method: generated batches,
// ends of sessions and commands that are carried out again, against a cache that is a list.
import fc from "fast-check";
import { expect, test } from "vitest";
import { StateReader, StateWriter } from "../../src/machine/state-bytes.ts";
import { type KeptReply, ReplyCache } from "../../src/objects/reply-cache.ts";

const bounds = { bytes: 2_000, batches: 3 };

interface PlainBatch {
  readonly session: number;
  readonly kept: Map<number, KeptReply>;
}

/** The same, told in the plainest way. */
class PlainCache {
  batches: PlainBatch[] = [];

  add(session: number, isNew: boolean, position: number, reply: KeptReply): void {
    if (isNew || this.batches.at(-1)?.session !== session) this.batches.push({ session, kept: new Map() });
    const batch = this.batches.at(-1)!;
    batch.kept.set(position, reply);
    const own = this.batches.filter((each) => each.session === session);
    if (own.length > bounds.batches) this.batches.splice(this.batches.indexOf(own[0]!), 1);
    while (this.#bytes() > bounds.bytes && this.batches[0] !== batch) this.batches.shift();
  }

  #bytes(): number {
    let bytes = 0;
    for (const { kept } of this.batches) {
      bytes += 128;
      for (const reply of kept.values()) bytes += 64 + (typeof reply === "string" ? 0 : reply.length);
    }
    return bytes;
  }
}

const reply = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 90 }) },
  { weight: 1, arbitrary: fc.constantFrom("COMMAND_MALFORMED" as const, "MACHINE_FAILED" as const) },
);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("batch" as const),
      session: fc.nat({ max: 3 }),
      gap: fc.nat({ max: 2 }),
      replies: fc.array(fc.tuple(fc.nat({ max: 2 }), reply), { minLength: 1, maxLength: 8 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end" as const), session: fc.nat({ max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("save" as const) }) },
);

function saved(cache: ReplyCache): Uint8Array {
  const writer = new StateWriter();
  cache.save(writer);
  return Buffer.concat([...writer.rest()]);
}

const comparable = (found: KeptReply | undefined) => (found instanceof Uint8Array ? [...found] : found);

test("what is kept is what a list would keep, also over saves", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let cache = new ReplyCache(bounds);
      const plain = new PlainCache();
      let position = 1;
      for (const each of steps) {
        if (each.kind === "end") {
          cache.endSession(each.session);
          plain.batches = plain.batches.filter(({ session }) => session !== each.session);
        } else if (each.kind === "save") {
          const bytes = saved(cache);
          cache = ReplyCache.load(new StateReader([bytes]), bounds);
          expect(Buffer.compare(saved(cache), bytes)).toBe(0);
        } else {
          position += each.gap;
          const end = position + 100;
          each.replies.forEach(([skipped, told], index) => {
            position += skipped;
            cache.begin(each.session, end);
            cache.add(position, told);
            plain.add(each.session, index === 0, position, told);
            position += 1;
          });
          position = end;
        }
      }
      const kept = new Map(plain.batches.flatMap((batch) => [...batch.kept]));
      for (let at = 0; at < position; at += 1) expect(comparable(cache.at(at))).toEqual(comparable(kept.get(at)));
    }),
    { numRuns: 60 },
  );
});

test("commands that are carried out again have their replies as before", () => {
  const cache = new ReplyCache({ bytes: 10_000, batches: Number.POSITIVE_INFINITY });
  const add = (position: number): void => {
    cache.begin(0, position < 5 ? 5 : 9);
    cache.add(position, position % 3 === 0 ? "MACHINE_FAILED" : Uint8Array.from([position]));
  };
  for (let position = 1; position < 8; position += 1) add(position);
  for (const back of [6, 3, 5, 0]) {
    cache.forgetFrom(back);
    expect(cache.at(back)).toBeUndefined();
    expect(comparable(cache.at(back - 1))).toEqual(
      back < 2 ? undefined : (back - 1) % 3 === 0 ? "MACHINE_FAILED" : [back - 1],
    );
    for (let position = Math.max(1, back); position < 8; position += 1) add(position);
    expect(comparable(cache.at(7))).toEqual([7]);
  }
});

test("a session that ends inside of a batch leaves nothing behind that is never let go of", () => {
  const cache = new ReplyCache(bounds);
  for (let batch = 0; batch < 100; batch += 1) {
    cache.begin(7, 10 * batch + 10);
    cache.add(10 * batch + 1, new Uint8Array(50));
    cache.endSession(7);
    cache.begin(7, 10 * batch + 10);
    cache.add(10 * batch + 2, new Uint8Array(50));
    cache.endSession(7);
  }
  cache.begin(8, 2_000);
  cache.add(1_999, new Uint8Array(50));
  cache.begin(9, 3_000);
  cache.add(2_999, new Uint8Array(50));
  expect(cache.at(1_999)).toHaveLength(50);
});
