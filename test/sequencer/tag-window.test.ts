// The window of recent hashes against a model that keeps everything: any order of adding and cutting, and of making room.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Position } from "../../src/base/types.ts";
import { TagWindow } from "../../src/sequencer/tag-window.ts";

const at = (value: number): Position => value as Position;

function guards(...hashes: number[]): Uint8Array {
  const bytes = Buffer.alloc(8 * hashes.length);
  // Many hashes share the low half, so that places of the table collide.
  for (const [index, hash] of hashes.entries()) {
    bytes.writeUInt32LE(hash % 5, 8 * index);
    bytes.writeUInt32LE(hash, 8 * index + 4);
  }
  return bytes;
}

/** First positions of a hash's entries, newest first. */
function positionsOf(window: TagWindow, hash: number): number[] {
  const positions: number[] = [];
  for (let posting = window.newest(hash % 5, hash); posting >= 0; posting = window.older(posting)) {
    positions.push(window.firstPositionOf(posting));
  }
  return positions;
}

interface Added {
  readonly first: number;
  readonly count: number;
  readonly hashes: readonly number[];
}

/** What a window of this capacity must say of everything that was added and not cut. */
function expectAgrees(window: TagWindow, added: readonly Added[]): void {
  for (let hash = 0; hash < 40; hash += 1) {
    const expected = added
      .filter(({ first, hashes }) => hashes.includes(hash) && first >= window.coveredFrom)
      .map(({ first }) => first)
      .toReversed();
    const found = positionsOf(window, hash).filter((first) => first >= window.coveredFrom);
    expect(found).toEqual(expected);
  }
}

describe("a window of tags", () => {
  test("says of everything from coveredFrom on which entries bear a hash, whatever is added and cut", () => {
    const entry = fc.record({
      count: fc.integer({ min: 1, max: 5 }),
      hashes: fc.uniqueArray(fc.integer({ min: 0, max: 39 }), { maxLength: 6 }),
    });
    const step = fc.oneof({ weight: 8, arbitrary: entry }, { weight: 1, arbitrary: fc.record({ cut: fc.nat(12) }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 1500, size: "max" }), (steps) => {
        const window = new TagWindow(at(1), 1024);
        const added: Added[] = [];
        let next = 1;
        for (const each of steps) {
          if ("cut" in each) {
            for (let count = 0; count < each.cut && added.length > 0; count += 1) next = added.pop()!.first;
            window.cut(at(next));
          } else {
            window.add(guards(...each.hashes), at(next), each.count);
            added.push({ first: next, ...each });
            next += each.count;
          }
        }
        expect(window.postings).toBeLessThanOrEqual(1024);
        expectAgrees(window, added);
        expectAgrees(TagWindow.load(window.save()), added);
      }),
      { numRuns: 30 },
    );
  });

  test("grows as it is needed, and then lets the oldest entries go", () => {
    const window = new TagWindow(at(1), 4096);
    const added: Added[] = [];
    for (let first = 1; first <= 5000; first += 1) {
      window.add(guards(first % 40), at(first), 1);
      added.push({ first, count: 1, hashes: [first % 40] });
      if (first === 1000) expect(window.bytes).toBe(1024 * 32);
    }
    expect(window.bytes).toBe(4096 * 32);
    expect(window.postings).toBe(4096);
    expect(window.coveredFrom).toBe(5000 - 4096 + 1);
    expectAgrees(window, added);
  });

  test("covers what comes after a cut, also where what was cut had made room for itself", () => {
    const window = new TagWindow(at(1), 1024);
    window.add(guards(1), at(1), 1);
    for (let first = 2; first < 3000; first += 1) window.add(guards(2), at(first), 1);
    window.cut(at(2));
    expect(window.coveredFrom).toBe(2);
    window.add(guards(3), at(2), 1);
    expect(positionsOf(window, 3)).toEqual([2]);
    expect(positionsOf(window, 2)).toEqual([]);
  });
});
