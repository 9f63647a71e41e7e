import { assert } from "../base/assert.ts";

/** How many voters make a prepare (Qp) and an accept (Qa) quorum. Any two of them meet: Qp + Qa > N. */
export interface Quorums {
  readonly voterCount: number;
  readonly prepare: number;
  readonly accept: number;
}

export function majorityQuorums(voterCount: number): Quorums {
  assert(Number.isInteger(voterCount) && voterCount >= 1, `a cluster has at least one voter, not ${voterCount}`);
  const majority = Math.floor(voterCount / 2) + 1;
  assert(majority + majority > voterCount, "quorums must intersect");
  return { voterCount, prepare: majority, accept: majority };
}

/** The largest value that at least `count` of the values reach. */
export function reachedByAtLeast(values: readonly number[], count: number): number {
  assert(count >= 1 && count <= values.length, `a quorum of ${count} among ${values.length}`);
  return [...values].sort((a, b) => b - a)[count - 1]!;
}
