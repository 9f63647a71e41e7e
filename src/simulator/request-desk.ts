import type { Position } from "../base/types.ts";
import type { AppendAnswer } from "../core/effect.ts";
import type { Proposal } from "../core/event.ts";
import type { SimNode } from "./sim-node.ts";
import type { NodeClients } from "./sim-world.ts";

/** Far above what the workload numbers. */
export const deskNumbersFrom = 2 ** 40;

export type ProposalBody = Proposal extends infer Each
  ? Each extends Proposal
    ? Omit<Each, "requestId">
    : never
  : never;

/** Hands requests of other clients than the workload to nodes, and each its own answer. What it did not number is the workload's. */
export class RequestDesk implements NodeClients {
  readonly #workload: NodeClients;
  readonly #proposals = new Map<number, (answer: AppendAnswer | "lost") => void>();
  readonly #reads = new Map<number, (tail: Position | undefined) => void>();
  #lastNumber = deskNumbersFrom;

  constructor(workload: NodeClients) {
    this.#workload = workload;
  }

  /** A number that nothing else has. */
  nextNumber(): number {
    this.#lastNumber += 1;
    return this.#lastNumber;
  }

  /** "lost": the node died. */
  propose(node: SimNode, body: ProposalBody, onAnswer: (answer: AppendAnswer | "lost") => void): void {
    const requestId = this.nextNumber();
    this.#proposals.set(requestId, onAnswer);
    node.propose({ ...body, requestId });
  }

  /** A linearizable look at the tail; undefined: the node refused, or died. */
  tail(node: SimNode, onAnswer: (tail: Position | undefined) => void): void {
    const requestId = this.nextNumber();
    this.#reads.set(requestId, onAnswer);
    node.read(requestId);
  }

  answered(requestId: number, answer: AppendAnswer | "lost"): void {
    const onAnswer = this.#proposals.get(requestId);
    this.#proposals.delete(requestId);
    if (requestId < deskNumbersFrom) this.#workload.answered(requestId, answer);
    else onAnswer?.(answer);
  }

  readReady(requestId: number, node: string, tail: Position): void {
    if (requestId < deskNumbersFrom) this.#workload.readReady(requestId, node, tail);
    else this.#endRead(requestId, tail);
  }

  readLost(requestId: number): void {
    if (requestId < deskNumbersFrom) this.#workload.readLost(requestId);
    else this.#endRead(requestId, undefined);
  }

  #endRead(requestId: number, tail: Position | undefined): void {
    const onAnswer = this.#reads.get(requestId);
    this.#reads.delete(requestId);
    onAnswer?.(tail);
  }
}
