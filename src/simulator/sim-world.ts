import type { Position } from "../base/types.ts";
import type { AppendAnswer } from "../core/effect.ts";
import type { Replica, ReplicaOptions } from "../core/replica.ts";
import type { EntryParts } from "../core/sequencer.ts";
import type { Checks } from "./checks.ts";
import type { VirtualClock } from "./clock.ts";
import type { Coverage } from "./coverage.ts";
import type { OpenNodeStore } from "./node-store.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { Trace } from "./trace.ts";

/** What a node uses of a replica: a mutant in a test may stand in for it. */
export type ReplicaPart = Pick<Replica, "step" | "hello" | "log" | "view" | "acceptsProposals">;

/** Where the answers go. */
export interface NodeClients {
  answered(requestId: number, answer: AppendAnswer | "lost"): void;
  /** The read shows what is before `tail`. */
  readReady(requestId: number, node: string, tail: Position): void;
  readLost(requestId: number): void;
}

/** What all nodes of a run share. */
export interface SimWorld {
  readonly clock: VirtualClock;
  readonly network: SimNetwork;
  readonly checks: Checks;
  readonly trace: Trace;
  readonly coverage: Coverage;
  readonly clients: NodeClients;
  readonly members: readonly { readonly name: string; readonly peerAddress: string }[];
  readonly openStore: OpenNodeStore;
  readonly makeReplica: (options: ReplicaOptions) => ReplicaPart;
  /** What a replica is given beside what is its own. */
  readonly replicaOptions: Pick<ReplicaOptions, "firstHash" | "makeEntry">;
  readonly entryParts: EntryParts;
  /** Events that one turn takes, at most. */
  readonly turnEventsMax: number;
  readonly turnDelayUs: number;
}
