// The checks must be able to fail: each test plants a bug that such systems have had, and says within how many seeds it is caught.
import { describe, expect, test } from "vitest";
import type { Position, Slot } from "../../src/base/types.ts";
import { noBallot } from "../../src/core/ballot.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { Event, Proposal } from "../../src/core/event.ts";
import { Replica, type ReplicaOptions } from "../../src/core/replica.ts";
import type { Sequencer, Verdict } from "../../src/core/sequencer.ts";
import { type RunOptions, runSeed } from "../../src/simulator/run.ts";
import type { ReplicaPart } from "../../src/simulator/sim-world.ts";
import type { Disk } from "../../src/storage/disk.ts";
import { hashing } from "./support.ts";

/** A replica of which one step is bent. */
function bent(options: ReplicaOptions, step: (replica: Replica, event: Event, effects: Effect[]) => void): ReplicaPart {
  const replica = new Replica(options);
  return {
    step: (event, effects) => step(replica, event, effects),
    hello: () => replica.hello(),
    get log() {
      return replica.log;
    },
    get view() {
      return replica.view;
    },
    get acceptsProposals() {
      return replica.acceptsProposals;
    },
  };
}

/** The reason why the first of these seeds failed that did, beginning at one that is known to fail while its run is what it was. */
function firstFailure(seedCount: number, options: Omit<RunOptions, "seed" | "hashing">, known = 1): string | undefined {
  for (let tried = 0; tried < seedCount; tried += 1) {
    const seed = ((known - 1 + tried) % seedCount) + 1;
    try {
      runSeed({ seed, hashing, ...options });
    } catch (error) {
      return error instanceof Error ? error.message.split("\n")[0] : String(error);
    }
  }
  return undefined;
}

/** Believes that everything is durable as soon as it is submitted. */
function acknowledgesBeforeSync(options: ReplicaOptions): ReplicaPart {
  return bent(options, (replica, event, effects) => {
    if (event.kind === "durable") return;
    let from = effects.length;
    replica.step(event, effects);
    while (from < effects.length) {
      const effect = effects[from]!;
      from += 1;
      const isWrite =
        effect.kind === "appendGroup" || effect.kind === "replaceGroup" || effect.kind === "writeSuperblock";
      if (isWrite) replica.step({ kind: "durable", ticket: effect.ticket }, effects);
    }
  });
}

/** A restart forgets what was promised, and with it what was accepted. */
function forgetsItsPromise(options: ReplicaOptions): ReplicaPart {
  const { recovered } = options;
  const state = { ...recovered.state, promised: noBallot, acceptedBallot: noBallot };
  return new Replica({ ...options, recovered: { ...recovered, state } });
}

/** Serves linearizable reads from what it has, without asking anybody. */
function readsWithoutProbe(options: ReplicaOptions): ReplicaPart {
  return bent(options, (replica, event, effects) => {
    if (event.kind === "read") effects.push({ kind: "readReady", requestId: event.requestId });
    else replica.step(event, effects);
  });
}

/** Says "nothing happened" of an append whose leader was lost, where nobody knows. */
function guessesOutcomes(options: ReplicaOptions): ReplicaPart {
  return bent(options, (replica, event, effects) => {
    const from = effects.length;
    replica.step(event, effects);
    for (let i = from; i < effects.length; i += 1) {
      const effect = effects[i]!;
      if (effect.kind !== "answer" || effect.answer.kind !== "failed") continue;
      effects[i] = { ...effect, answer: { ...effect.answer, outcome: "none" } };
    }
  });
}

/** Answers as soon as an append is ordered. */
function answersBeforeDecided(options: ReplicaOptions): ReplicaPart {
  return bent(options, (replica, event, effects) => {
    const end = replica.log.acceptedEnd;
    replica.step(event, effects);
    const entry = event.kind === "propose" ? replica.log.at(end) : undefined;
    const proposal = event.kind === "propose" ? event.proposals[0] : undefined;
    if (entry === undefined || proposal === undefined) return;
    const { firstPosition, recordCount, time } = entry;
    const answer = { kind: "acknowledged", firstPosition, recordCount, time } as const;
    effects.push({ kind: "answer", requestId: proposal.requestId, answer });
  });
}

/** A leader takes what it sent for what the follower has. */
function countsWhatItSent(options: ReplicaOptions): ReplicaPart {
  let sentEnd = 0;
  return bent(options, (replica, event, effects) => {
    const from = effects.length;
    const message = event.kind === "receive" ? event.message : undefined;
    if (event.kind === "receive" && message?.kind === "accepted" && message.matchedEnd < sentEnd) {
      const hash = replica.log.hashBefore(sentEnd as Slot);
      const bentMessage = hash === undefined ? message : { ...message, matchedEnd: sentEnd as Slot, hash };
      replica.step({ ...event, message: bentMessage }, effects);
    } else {
      replica.step(event, effects);
    }
    for (const effect of effects.slice(from)) {
      if (effect.kind === "replaceGroup") sentEnd = 0;
      if (effect.kind !== "send" || effect.message.kind !== "accept") continue;
      sentEnd = effect.message.firstSlot + effect.message.entries.length;
    }
  });
}

/** The log's sequencer, of which the verdicts are bent. */
function bentVerdicts(bend: (verdict: Verdict, proposal: Proposal) => Verdict) {
  return (options: ReplicaOptions): ReplicaPart => {
    const real = options.sequencer;
    const sequencer: Sequencer = {
      decided: (end, log) => real.decided(end, log),
      begin: (at) => real.begin(at),
      end: (at) => real.end(at),
      order: (proposal, at, seen) => bend(real.order(proposal, at, seen), proposal),
      due: (at) => real.due(at),
      snapshot: (control, at) => real.snapshot(control, at),
      restart: (snapshot) => real.restart(snapshot),
      get retained() {
        return real.retained;
      },
      takeSnapshots: () => real.takeSnapshots(),
    };
    return new Replica({ ...options, sequencer });
  };
}

/** Refuses by a log that may never be: it neither waits for what it saw to be decided, nor asks whether it leads. */
const refusesAtOnce = bentVerdicts((verdict) =>
  verdict.kind === "refused" ? { kind: "answered", answer: verdict.answer } : verdict,
);

/** Tells a retry that its first attempt is in the log while nobody knows. */
const answersRetriesAtOnce = bentVerdicts((verdict) =>
  verdict.kind === "joined" ? { kind: "answered", answer: verdict.answer } : verdict,
);

/** Says of a refusal what was true a little earlier. */
const refusesWithOldFacts = bentVerdicts((verdict) => {
  if (verdict.kind !== "refused" || verdict.answer.kind !== "refused") return verdict;
  const { refusal } = verdict.answer;
  const tail = Math.max(1, refusal.tail - 1) as Position;
  return { kind: "refused", answer: { kind: "refused", refusal: { ...refusal, tail } } };
});

describe("a sequencer that judges wrongly is caught by the history of its clients", () => {
  const mutants: [string, number, (options: ReplicaOptions) => ReplicaPart, number?][] = [
    ["it refuses at once", 150, refusesAtOnce],
    ["it answers retries at once", 150, answersRetriesAtOnce, 24],
    ["it refuses with old facts", 10, refusesWithOldFacts],
  ];
  for (const [name, seedCount, makeReplica, known] of mutants) {
    test(`${name}: within ${seedCount} seeds`, { timeout: 240_000 }, () => {
      expect(firstFailure(seedCount, { makeReplica, outcomesOnly: true }, known)).toBeDefined();
    });
  }
});

describe("a bug in the core is caught", () => {
  const mutants: [string, number, (options: ReplicaOptions) => ReplicaPart, number?][] = [
    ["it acknowledges before its sync", 5, acknowledgesBeforeSync],
    ["it forgets its promise at a restart", 20, forgetsItsPromise],
    ["it reads without a probe", 20, readsWithoutProbe],
    ["it guesses that a lost append did not happen", 20, guessesOutcomes],
    ["it answers before the entry is decided", 5, answersBeforeDecided],
    ["it counts what it sent as accepted", 5, countsWhatItSent, 61],
  ];
  for (const [name, seedCount, makeReplica, known] of mutants) {
    test(`${name}: within ${seedCount} seeds`, () => {
      expect(firstFailure(seedCount, { makeReplica })).toBeDefined();
    });
    test(`${name}: by what clients and readers see alone, within ${seedCount * 30} seeds`, { timeout: 120_000 }, () => {
      expect(firstFailure(seedCount * 30, { makeReplica, outcomesOnly: true }, known)).toBeDefined();
    });
  }
});

describe("a disk that lies is caught", () => {
  const delegate = (disk: Disk): Disk => ({
    create: (path) => disk.create(path),
    open: (path, access) => disk.open(path, access),
    exists: (path) => disk.exists(path),
    makeDirectory: (path) => disk.makeDirectory(path),
    list: (path) => disk.list(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    removeDirectory: (path) => disk.removeDirectory(path),
    syncDirectory: (path) => disk.syncDirectory(path),
  });
  const withoutSync = (disk: Disk): Disk => ({
    ...delegate(disk),
    create: (path) => ({ ...disk.create(path), sync: () => {} }),
    open: (path, access) => ({ ...disk.open(path, access), sync: () => {} }),
  });
  const withoutSyncDirectory = (disk: Disk): Disk => ({ ...delegate(disk), syncDirectory: () => {} });

  test("it does not sync files: within 20 seeds", () => {
    expect(firstFailure(20, { wrapDisk: withoutSync })).toBeDefined();
  });

  test("it does not sync directories: within 20 seeds", () => {
    expect(firstFailure(20, { wrapDisk: withoutSyncDirectory })).toBeDefined();
  });
});
