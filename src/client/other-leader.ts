import { PaxlogError } from "../base/errors.ts";
import type { NodeStatus } from "../format/node-status.ts";
import type { Nodes } from "./nodes.ts";

/** A node that says it leads, and in which ballot: (configuration, number, node). */
interface Claim {
  readonly address: string;
  readonly ballot: readonly number[];
}

/**
 * The address of a node that leads now although the one at `address`, which leaves appends unanswered, was believed to: that one
 * may be frozen or cut off. A node counts that says it leads, in a larger ballot than the silent one claims, if that one still
 * says anything. Undefined where none is found within the time.
 */
export async function otherLeader(nodes: Nodes, address: string, timeoutMs: number): Promise<string | undefined> {
  const end = performance.now() + timeoutMs;
  const others = nodes.addresses.filter((other) => other !== address);
  const asked = new Set([address]);
  const silent = claimOf(nodes, address, end);
  const claims = await Promise.all(others.map((other) => leaderSeenBy(nodes, other, end, asked)));
  for (const claim of claims) {
    if (claim !== undefined && isLarger(claim.ballot, (await silent)?.ballot)) return claim.address;
  }
  return undefined;
}

/** The claim of the node itself, or else of the one that it takes for the leader. */
async function leaderSeenBy(
  nodes: Nodes,
  address: string,
  end: number,
  asked: Set<string>,
): Promise<Claim | undefined> {
  asked.add(address);
  const status = await statusOf(nodes, address, end);
  if (status === undefined) return undefined;
  const claim = claimIn(address, status);
  const { leaderAddress } = status;
  if (claim !== undefined || asked.has(leaderAddress) || !nodes.learn(leaderAddress)) return claim;
  asked.add(leaderAddress);
  return claimOf(nodes, leaderAddress, end);
}

async function claimOf(nodes: Nodes, address: string, end: number): Promise<Claim | undefined> {
  const status = await statusOf(nodes, address, end);
  return status === undefined ? undefined : claimIn(address, status);
}

function claimIn(address: string, { role, phase, ballot }: NodeStatus): Claim | undefined {
  if (role !== "leader" || phase !== "accept") return undefined;
  return { address, ballot: ballot.split(".").map(Number) };
}

/** A node that does not say what it is leads nobody, as far as anyone can tell. */
async function statusOf(nodes: Nodes, address: string, end: number): Promise<NodeStatus | undefined> {
  const leftMs = () => Math.max(1, Math.ceil(end - performance.now()));
  try {
    if (!(await nodes.connected(address, leftMs()))) return undefined;
    return await nodes.link(address).status({ deadlineMs: leftMs(), signal: undefined });
  } catch (error) {
    if (error instanceof PaxlogError) return undefined;
    throw error;
  }
}

function isLarger(ballot: readonly number[], than: readonly number[] | undefined): boolean {
  const index = ballot.findIndex((part, at) => part !== than?.[at]);
  return index >= 0 && (than === undefined || ballot[index]! > (than[index] ?? 0));
}
