import { assertSafe } from "../base/assert.ts";
import { firstConfigId, type NodeId, noNode } from "../base/types.ts";

/**
 * Names one leadership. Ordered by (configId, n, nodeId), everywhere: messages, superblock, REPLACE groups, segment headers.
 * n = 0 means that no ballot was taken.
 */
export interface Ballot {
  readonly configId: number;
  readonly n: number;
  readonly nodeId: NodeId;
}

/** Smaller than every ballot that anyone takes. */
export const noBallot: Ballot = { configId: 0, n: 0, nodeId: noNode };

/** What a node stands for before it has taken a ballot (docs/protocol.md, section 6). */
export function untakenBallot(nodeId: NodeId): Ballot {
  return { configId: firstConfigId, n: 0, nodeId };
}

export function compareBallots(a: Ballot, b: Ballot): number {
  return a.configId - b.configId || a.n - b.n || a.nodeId - b.nodeId;
}

export const sameBallot = (a: Ballot, b: Ballot): boolean => compareBallots(a, b) === 0;
export const largerBallot = (a: Ballot, b: Ballot): Ballot => (compareBallots(a, b) >= 0 ? a : b);

/** The ballot that outranks every n seen: (1 + largest n, own id). */
export function nextBallot(nLargestSeen: number, nodeId: NodeId): Ballot {
  return { configId: firstConfigId, n: assertSafe(nLargestSeen + 1, "ballot n"), nodeId };
}

/** For messages, traces and errors: "configId.n.nodeId". */
export const showBallot = (b: Ballot): string => `${b.configId}.${b.n}.${b.nodeId}`;
