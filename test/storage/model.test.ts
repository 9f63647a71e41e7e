import fc from "fast-check";
import { expect, test } from "vitest";
import type { Slot } from "../../src/base/types.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { LogReader } from "../../src/storage/reader.ts";
import type { GroupWrite, SuperblockWrite } from "../../src/storage/write.ts";
import { hashesOf, openStore, readFrom, TestDirectory } from "./directory.ts";
import { hashing } from "./hashing.ts";
import { Scribe } from "./scribe.ts";

type Step =
  | { readonly kind: "append"; readonly count: number; readonly size: number }
  | { readonly kind: "replace"; readonly back: number; readonly count: number; readonly size: number }
  | { readonly kind: "decide"; readonly back: number }
  | { readonly kind: "superblock" | "mark" | "commit" | "close" | "abandon" };

const size = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0, 1, 50, 3700, 3768, 3769, 5000) },
  { weight: 1, arbitrary: fc.constantFrom(200_000, 1_040_000, 1_100_000) },
);
const count = fc.integer({ min: 1, max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("append" as const), count, size }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("replace" as const), back: fc.nat(12), count: fc.nat(4), size }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("decide" as const), back: fc.nat(6) }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom("superblock", "mark", "commit", "commit", "close", "abandon") }),
  },
);

test("a store holds what a plain array holds, whatever the order of writes and openings", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      using directory = new TestDirectory();
      const disk = new NodeDisk();
      const scribe = new Scribe();
      let store = openStore(directory.data, disk);
      let reader = new LogReader(disk, directory.data, hashing, store.layout, store.readerStart);
      let submitted = 0;
      let hinted = 1;
      let ballot = 0;
      const submit = (write: GroupWrite | SuperblockWrite): void => {
        store.submit(write);
        submitted = write.ticket;
        hinted = write.decidedEnd;
      };
      const commitAll = (): void => {
        let last = 0;
        for (let commit = store.commit(); commit !== undefined; commit = store.commit()) {
          expect(commit.ticket).toBeGreaterThan(last);
          last = commit.ticket;
          reader.add(commit.places, commit.voidFrom);
        }
        if (last > 0) expect(last).toBe(submitted);
        expect(hashesOf(readFrom(reader, 1 as Slot))).toEqual(hashesOf(scribe.entries));
      };
      const reopen = (clean: boolean): void => {
        commitAll();
        if (clean) store.close();
        reader.close();
        store = openStore(directory.data, disk);
        reader = new LogReader(disk, directory.data, hashing, store.layout, store.readerStart);
        const { state, base, window } = store.recovered;
        expect(state.promised).toEqual(scribe.state.promised);
        expect(base.slot).toBeGreaterThanOrEqual(hinted);
        expect(base.slot).toBeLessThanOrEqual(scribe.decidedEnd);
        expect(base.hash).toBe(scribe.hashBefore(base.slot));
        expect(base.position).toBe(scribe.positionAt(base.slot));
        expect(hashesOf(window)).toEqual(hashesOf(scribe.entries.slice(base.slot - 1)));
        expect(hashesOf(readFrom(reader, 1 as Slot))).toEqual(hashesOf(scribe.entries));
        scribe.state = state;
      };

      submit(scribe.genesis(store.recovered.identity.nodeUid));
      for (const next of steps) {
        if (next.kind === "append") {
          submit(scribe.append(next.count, next.size));
        } else if (next.kind === "replace") {
          ballot += 1;
          submit(scribe.promise(ballot));
          submit(scribe.replace(Math.max(scribe.decidedEnd, scribe.end - next.back), next.count, next.size));
        } else if (next.kind === "decide") {
          // A hint may only name what is durable already (P7).
          commitAll();
          scribe.decide(scribe.end - next.back);
        } else if (next.kind === "superblock") {
          submit(scribe.superblock({ started: true, acceptedBallot: scribe.logBallot }));
        } else if (next.kind === "commit") {
          commitAll();
        } else if (next.kind === "mark") {
          commitAll();
          store.mark();
        } else {
          reopen(next.kind === "close");
        }
      }
      reopen(true);
      store.close();
      reader.close();
    }),
    { numRuns: 40, endOnFailure: true, interruptAfterTimeLimit: 20_000 },
  );
});
