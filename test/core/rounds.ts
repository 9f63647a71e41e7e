/** What tests of rounds of the election share. */
import { noBallot } from "../../src/core/ballot.ts";
import type { RoundInputs } from "../../src/core/election.ts";
import { electedCluster, type TestCluster } from "./harness.ts";

/** Of each node by how many ticks its rounds are ahead: however the rounds of three nodes lie to each other. */
export const staggers: readonly [offsets: number[]][] = [[[0, 0, 0]], [[0, 3, 6]], [[6, 3, 0]], [[2, 7, 4]]];

/** A cluster of three with a leader, and rounds that lie so to each other. */
export function staggeredCluster(offsets: readonly number[]): TestCluster {
  const cluster = electedCluster(3);
  const { leader } = cluster;
  offsets.forEach((ticks, index) => {
    cluster.tick(index + 1, ticks);
    cluster.settle();
  });
  if (cluster.leader !== leader) throw new Error("the leadership moved while the rounds were put apart");
  return cluster;
}

/** The end of a round of a leader that has no reason to give way, and no followers in sync. */
export const calmRound: RoundInputs = {
  promised: noBallot,
  promisedInRound: false,
  unfit: false,
  accepting: true,
  late: false,
  slowMs: 0,
  diskFull: false,
  stoppedMachines: 0,
  roundMs: 200,
  synced: new Set(),
};
