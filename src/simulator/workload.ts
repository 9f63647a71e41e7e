import { readU64, viewOf, writeU64 } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import type { Position } from "../base/types.ts";
import type { AppendAnswer } from "../core/effect.ts";
import type { Entry } from "../core/entry.ts";
import { emptyPayload } from "../core/entry.ts";
import { batchOf } from "../format/entry.ts";
import type { VirtualClock } from "./clock.ts";
import type { Coverage } from "./coverage.ts";
import type { Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";
import type { SimNode } from "./sim-node.ts";
import type { NodeClients } from "./sim-world.ts";

export interface WorkloadPlan {
  /** Mean time between two visits of a client. */
  readonly visitMeanUs: number;
  /** Appends that one visit brings, at most. */
  readonly burstMax: number;
  /** Appends without an answer at one node, at most: an old leader that is cut off keeps them for long. */
  readonly waitingMax: number;
  /** Part of the visits that read instead. */
  readonly readRate: number;
  /** Part of the appends that are large, and how large they are. */
  readonly largeRate: number;
  readonly largeBytesMax: number;
  /** No more large ones when so many bytes were appended in all: recovery reads them again and again. */
  readonly largeBytesTotal: number;
}

const idBytes = 8;

/** The append that an entry's payload came from: its number leads the payload. */
export function appendOf(entry: Entry): number | undefined {
  const batch = batchOf(entry);
  return batch.length < idBytes ? undefined : readU64(viewOf(batch), 0);
}

/** Clients of all nodes: they append and read at random times and hold every answer against the one history. */
export class Workload implements NodeClients {
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #hashing: Hashing;
  readonly #ledger: Ledger;
  readonly #coverage: Coverage;
  readonly #nodes: () => readonly SimNode[];
  readonly #plan: WorkloadPlan;
  /** A request's number names the append too: none is used twice. */
  #lastRequest = 0;
  /** The node that each unanswered append was given to. */
  readonly #running = new Map<number, SimNode>();
  #bytes = 0;
  /** The floor at the time when a read began. */
  readonly #reads = new Map<number, Position>();
  #isStopped = false;
  #lastAcknowledged = 0;

  constructor(options: {
    readonly clock: VirtualClock;
    readonly random: Random;
    readonly hashing: Hashing;
    readonly ledger: Ledger;
    readonly coverage: Coverage;
    readonly nodes: () => readonly SimNode[];
    readonly plan: WorkloadPlan;
  }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#hashing = options.hashing;
    this.#ledger = options.ledger;
    this.#coverage = options.coverage;
    this.#nodes = options.nodes;
    this.#plan = options.plan;
  }

  start(): void {
    this.#clock.after(this.#random.exponential(this.#plan.visitMeanUs), () => {
      if (this.#isStopped) return;
      this.#visit();
      this.start();
    });
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** The number given out last. */
  get lastRequest(): number {
    return this.#lastRequest;
  }

  /** The largest number of an append that was acknowledged. */
  get lastAcknowledged(): number {
    return this.#lastAcknowledged;
  }

  /** Whether an append has no answer yet. */
  get isWaiting(): boolean {
    return this.#running.size > 0;
  }

  #visit(): void {
    const node = this.#chooseNode();
    if (this.#random.chance(this.#plan.readRate)) {
      this.read(node);
      return;
    }
    const room = this.#plan.waitingMax - this.#waitingAt(node);
    const count = Math.min(room, this.#random.between(1, this.#plan.burstMax));
    for (let i = 0; i < count; i += 1) this.append(node);
  }

  #waitingAt(node: SimNode): number {
    let count = 0;
    for (const busy of this.#running.values()) if (busy === node) count += 1;
    return count;
  }

  /** Mostly the node that says that it leads; at times any, which must refuse. */
  #chooseNode(): SimNode {
    const nodes = this.#nodes();
    const leaders = nodes.filter((node) => node.replica?.view.role === "leader");
    return leaders.length > 0 && this.#random.chance(0.9) ? this.#random.pick(leaders) : this.#random.pick(nodes);
  }

  /** Appends a batch of its own at a node; returns its number. */
  append(node: SimNode): number {
    this.#lastRequest += 1;
    const id = this.#lastRequest;
    const isLarge = this.#random.chance(this.#plan.largeRate) && this.#bytes < this.#plan.largeBytesTotal;
    const batch = new Uint8Array(idBytes + this.#random.below(isLarge ? this.#plan.largeBytesMax : 300));
    writeU64(viewOf(batch), 0, id);
    this.#bytes += batch.length;
    this.#ledger.appendBegins(id);
    this.#running.set(id, node);
    node.propose({
      kind: "append",
      requestId: id,
      payload: { batch, guards: emptyPayload.guards },
      batchChecksum: this.#hashing.crc32c(batch),
      recordCount: this.#random.between(1, 5),
    });
    return id;
  }

  read(node: SimNode): void {
    this.#lastRequest += 1;
    this.#reads.set(this.#lastRequest, this.#ledger.floor);
    node.read(this.#lastRequest);
  }

  answered(requestId: number, answer: AppendAnswer | "lost"): void {
    this.#running.delete(requestId);
    this.#ledger.appendEnds(requestId, answer);
    if (answer === "lost") this.#coverage.count("appendLost");
    else if (answer.kind === "failed") this.#coverage.count(`append.${answer.code}`);
    else if (answer.kind === "acknowledged") {
      this.#coverage.count("appendAcknowledged");
      this.#lastAcknowledged = Math.max(this.#lastAcknowledged, requestId);
    }
  }

  readReady(requestId: number, node: string, tail: Position): void {
    const floor = this.#reads.get(requestId);
    if (floor === undefined) return;
    this.#reads.delete(requestId);
    this.#ledger.readEnds(node, floor, tail);
  }

  readLost(requestId: number): void {
    this.#reads.delete(requestId);
  }
}
