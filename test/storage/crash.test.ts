import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import type { Hash, Ticket } from "../../src/base/types.ts";
import type { Disk } from "../../src/storage/disk.ts";
import type { Store } from "../../src/storage/store.ts";
import type { GroupWrite, SuperblockWrite } from "../../src/storage/write.ts";
import { CrashDisk } from "./crash-disk.ts";
import { hashesOf, openStore, readAll } from "./directory.ts";
import { Scribe } from "./scribe.ts";

const dir = "/data";

/** A log's whole content, and the tickets with which it is right. */
interface Stage {
  readonly ticket: Ticket;
  readonly hashes: Hash[] | string[];
  readonly promised: number;
  readonly accepted: number;
}

/** Each step submits one write (or marks); the stages say what is right after each. */
function script(scribe: Scribe, store: Store): { readonly steps: (() => void)[]; readonly stages: Stage[] } {
  const stages: Stage[] = [];
  const steps: (() => void)[] = [];
  const add = (write: GroupWrite | SuperblockWrite): void => {
    stages.push({
      ticket: write.ticket,
      hashes: hashesOf(scribe.entries),
      promised: scribe.state.promised.n,
      accepted: scribe.state.acceptedBallot.n,
    });
    steps.push(() => {
      store.submit(write);
      store.commit();
    });
  };
  add(scribe.genesis(store.recovered.identity.nodeUid));
  add(scribe.promise(1));
  add(scribe.replace(1, 0));
  add(scribe.superblock({ acceptedBallot: scribe.state.promised }));
  add(scribe.append(2));
  add(scribe.append(3, 3000));
  steps.push(() => store.mark());
  add(scribe.append(1, 700_000));
  steps.push(() => store.mark());
  add(scribe.append(1, 400_000));
  scribe.decide(3);
  add(scribe.append(2));
  add(scribe.promise(2));
  add(scribe.replace(6, 3, 900));
  add(scribe.superblock({ acceptedBallot: scribe.state.promised }));
  add(scribe.append(1, 700_000));
  add(scribe.append(4));
  steps.push(() => store.mark());
  steps.push(() => store.close());
  return { steps, stages };
}

/** Runs the script until the disk is cut; returns the last stage that commit() confirmed. */
function run(disk: CrashDisk): { readonly stages: Stage[]; readonly confirmed: number } {
  const store = openStore(dir, disk);
  const { steps, stages } = script(new Scribe(), store);
  let confirmed = 0;
  const { submit, commit } = store;
  store.submit = submit.bind(store);
  store.commit = () => {
    const done = commit.call(store);
    if (done !== undefined) confirmed += 1;
    return done;
  };
  try {
    for (const step of steps) step();
  } catch (error) {
    if (!(error instanceof PaxlogError) || error.code !== "STORAGE_FAILED") throw error;
  }
  return { stages, confirmed };
}

/** Some ways in which what was not synced may be left. */
const survivals: readonly [string, (sector: number) => boolean][] = [
  ["nothing unsynced", () => false],
  ["everything unsynced", () => true],
  ["the first sector", (sector) => sector === 0],
  ["all but the first sector", (sector) => sector > 0],
  ["every second sector", (sector) => sector % 2 === 0],
  ["the first eight sectors", (sector) => sector < 8],
];

function verdictOf(store: Store, disk: Disk): unknown {
  const { identity: _, ...rest } = store.recovered;
  return { ...rest, layout: store.layout, window: hashesOf(rest.window), all: hashesOf(readAll(dir, store, disk)) };
}

/** Opens what a crash left, three times: each must find a stage that is at least what was confirmed, and the same one. */
function check(disk: CrashDisk, stages: readonly Stage[], confirmed: number, what: string): void {
  const store = openStore(dir, disk);
  const hashes = hashesOf(readAll(dir, store, disk));
  const { promised, acceptedBallot } = store.recovered.state;
  const candidates = [{ hashes: [] as string[], promised: 0, accepted: 0 }, ...stages];
  const legal = candidates.slice(confirmed, confirmed + 2);
  const found = legal.find((stage) => String(stage.hashes) === String(hashes) && stage.promised === promised.n);
  expect(found, `${what}: ${hashes.length} entries, promised ${promised.n}`).toBeDefined();
  // A REPLACE that is durable stands for its ballot, whether the superblock got to say so or not.
  expect(acceptedBallot.n, what).toBeGreaterThanOrEqual(legal[0]!.accepted);
  const verdict = verdictOf(store, disk);
  // Without a clean close: the power fails again at once, and nothing that recovery left unsynced survives.
  const second = disk.crashed(() => false, 0);
  const again = openStore(dir, second);
  expect(verdictOf(again, second), `${what}, second recovery`).toEqual(verdict);
  again.close();
  const third = openStore(dir, second);
  expect(verdictOf(third, second), `${what}, after a clean close`).toEqual(verdict);
}

describe("a crash", () => {
  const whole = new CrashDisk();
  run(whole);
  const total = whole.operations;
  const opening = openingOperations();

  test.each(survivals)("at any operation that leaves %s loses nothing that was confirmed", (name, keeps) => {
    // Formatting and the first opening are cut in a test of their own.
    for (let cut = opening; cut <= total; cut += 1) {
      const disk = new CrashDisk();
      disk.operationsLeft = cut;
      const { stages, confirmed } = run(disk);
      for (const changes of new Set([0, disk.unsyncedChanges])) {
        check(disk.crashed(keeps, changes), stages, confirmed, `${name}, cut at ${cut} of ${total}, ${changes} names`);
      }
    }
  });

  test.each(survivals)(
    "while the directory is formatted or opened that leaves %s can be opened again",
    (name, keeps) => {
      for (let cut = 0; cut < opening; cut += 1) {
        const disk = new CrashDisk();
        disk.operationsLeft = cut;
        expect(() => openStore(dir, disk)).toThrow();
        for (const changes of new Set([0, disk.unsyncedChanges])) {
          const left = disk.crashed(keeps, changes);
          const store = openStore(dir, left);
          expect(store.recovered.state.genesis, `${name} ${cut}`).toBeUndefined();
          expect(store.recovered.identity.incarnation).toBeGreaterThanOrEqual(1);
        }
      }
    },
  );

  test.each(survivals)("at any operation of a recovery that leaves %s comes to the same verdict", (_name, keeps) => {
    const { disk, stages, confirmed } = withTornEnd(total);
    const torn = () => disk.crashed(everySecond, disk.unsyncedChanges);
    const probe = torn();
    openStore(dir, probe);
    expect(probe.list(`${dir}/trash`)).toHaveLength(1);
    const { operations } = probe;
    for (let cut = 0; cut < operations; cut += 1) {
      const cutDisk = torn();
      cutDisk.operationsLeft = cut;
      expect(() => openStore(dir, cutDisk)).toThrow();
      for (const changes of new Set([0, cutDisk.unsyncedChanges])) {
        check(cutDisk.crashed(keeps, changes), stages, confirmed, `recovery cut at ${cut}`);
      }
    }
  });
});

const everySecond = (sector: number): boolean => sector % 2 === 0;

/** The latest cut that leaves a group of which some sectors were written. */
function withTornEnd(total: number) {
  for (let cut = total; cut > 0; cut -= 1) {
    const disk = new CrashDisk();
    disk.operationsLeft = cut;
    const { stages, confirmed } = run(disk);
    const left = disk.crashed(everySecond, disk.unsyncedChanges);
    openStore(dir, left);
    if (left.list(`${dir}/trash`).length > 0) return { disk, stages, confirmed };
  }
  throw new Error("no cut leaves a torn end");
}

function openingOperations(): number {
  const disk = new CrashDisk();
  openStore(dir, disk);
  return disk.operations;
}

describe("a call to the disk that fails once", () => {
  test("poisons the store for good: nothing is tried again, and nothing confirmed is lost", () => {
    const opening = openingOperations();
    const whole = new CrashDisk();
    run(whole);
    for (let fault = opening; fault < whole.operations; fault += 1) {
      const disk = new CrashDisk();
      disk.operationsLeft = fault;
      const store = openStore(dir, disk);
      const { steps } = script(new Scribe(), store);
      const failed = steps.findIndex((step) => {
        try {
          step();
          return false;
        } catch (error) {
          expect(error).toMatchObject({ code: "STORAGE_FAILED", outcome: "unknown", facts: { errno: "EIO" } });
          return true;
        }
      });
      expect(failed, `fault at ${fault}`).toBeGreaterThanOrEqual(0);
      // The disk works again: the store must not.
      disk.operationsLeft = Number.POSITIVE_INFINITY;
      const { operations } = disk;
      for (const step of steps.slice(failed, -1))
        expect(step).toThrow(expect.objectContaining({ code: expect.stringMatching("STORAGE_FAILED|CLOSED") }));
      store.close();
      expect(disk.operations, `fault at ${fault}`).toBe(operations);
    }
  });
});
