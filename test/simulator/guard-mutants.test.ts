// The judge of histories must be able to fail: each test plants a bug in the judgement of guards or in sessions, and says within how
// many seeds it is caught.
import { expect, test } from "vitest";
import { Replica, type ReplicaOptions } from "../../src/core/replica.ts";
import type { Sequencer } from "../../src/core/sequencer.ts";
import { runSeed } from "../../src/simulator/run.ts";
import type { ReplicaPart } from "../../src/simulator/sim-world.ts";
import { hashing } from "./support.ts";

/** The reason why the first of these seeds failed that did. */
function firstFailure(seedCount: number, makeReplica: (options: ReplicaOptions) => ReplicaPart): string | undefined {
  for (let seed = 1; seed <= seedCount; seed += 1) {
    try {
      runSeed({ seed, hashing, makeReplica });
    } catch (error) {
      return error instanceof Error ? `seed ${seed}: ${error.message.split("\n")[0]}` : String(error);
    }
  }
  return undefined;
}

/** A replica whose sequencer does some of its work otherwise. */
function withSequencer(options: ReplicaOptions, bend: (sequencer: Sequencer) => Partial<Sequencer>): Replica {
  const { sequencer } = options;
  const straight: Sequencer = {
    decided: (end, log) => sequencer.decided(end, log),
    begin: (at) => sequencer.begin(at),
    end: (at) => sequencer.end(at),
    order: (proposal, at, seen) => sequencer.order(proposal, at, seen),
    due: (at) => sequencer.due(at),
    snapshot: (control, at) => sequencer.snapshot(control, at),
    restart: (snapshot) => sequencer.restart(snapshot),
    get retained() {
      return sequencer.retained;
    },
    takeSnapshots: () => sequencer.takeSnapshots(),
  };
  return new Replica({ ...options, sequencer: Object.assign(straight, bend(sequencer)) });
}

/** Says what a guard saw at once, although what it saw may never be decided. */
const refusesAtOnce = (options: ReplicaOptions): ReplicaPart =>
  withSequencer(options, (sequencer) => ({
    order: (proposal, at, seen) => {
      const verdict = sequencer.order(proposal, at, seen);
      return verdict.kind === "refused" ? { kind: "answered", answer: verdict.answer } : verdict;
    },
  }));

/** Judges by guards whether they hold, but for the expected tail. */
const ignoresTheTail = (options: ReplicaOptions): ReplicaPart =>
  withSequencer(options, (sequencer) => ({
    order: (proposal, at, seen) => {
      if (proposal.kind !== "append" || proposal.guards?.expectedTail === undefined) {
        return sequencer.order(proposal, at, seen);
      }
      const { expectedTail: _, ...guards } = proposal.guards;
      return sequencer.order({ ...proposal, guards }, at, seen);
    },
  }));

/** Takes the history's word that nothing matches, without asking it. */
const neverSearches = (options: ReplicaOptions): ReplicaPart =>
  withSequencer(options, (sequencer) => ({
    order: (proposal, at, seen) => {
      const answers = [...seen];
      for (;;) {
        const verdict = sequencer.order(proposal, at, answers);
        if (verdict.kind !== "unseen") return verdict;
        answers.push({ query: verdict.query, match: 0 });
      }
    },
  }));

/** Takes the undecided suffix over from the leader before, but not what sessions did in it. */
const forgetsWhatItTookOver = (options: ReplicaOptions): ReplicaPart =>
  withSequencer(options, (sequencer) => ({
    begin: (at) => {
      const suffix = at.suffix.map((entry) => (entry.kind === "batch" ? { ...entry, session: 0 } : entry));
      return sequencer.begin({ ...at, suffix });
    },
  }));

/** Answers a retry as soon as it is found that its first attempt was ordered, decided or not. */
const answersRetriesAtOnce = (options: ReplicaOptions): ReplicaPart =>
  withSequencer(options, (sequencer) => ({
    order: (proposal, at, seen) => {
      const verdict = sequencer.order(proposal, at, seen);
      return verdict.kind === "joined" ? { kind: "answered", answer: verdict.answer } : verdict;
    },
  }));

const mutants: [string, number, (options: ReplicaOptions) => ReplicaPart][] = [
  ["it refuses before what it saw is decided", 60, refusesAtOnce],
  ["it does not judge the expected tail", 5, ignoresTheTail],
  ["it does not search the history", 60, neverSearches],
  ["it forgets the sessions' requests that it took over", 60, forgetsWhatItTookOver],
  ["it answers retries before their first attempt is decided", 60, answersRetriesAtOnce],
];

for (const [name, seedCount, makeReplica] of mutants) {
  test(`${name}: within ${seedCount} seeds`, { timeout: 300_000 }, () => {
    const failure = firstFailure(seedCount, makeReplica);
    expect(failure).toBeDefined();
  });
}
