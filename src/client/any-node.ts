import { isNodesOwnTrouble, PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { cancelled } from "./abort.ts";
import type { AskBounds, NodeLink } from "./node-link.ts";
import { NodeSearch } from "./node-search.ts";
import { type Nodes, noConnection } from "./nodes.ts";
import { closedError, endOfLog } from "./outcomes.ts";
import type { Settings } from "./settings.ts";

/** A question that any node can answer. */
export type NodeQuestion<Answer> = (link: NodeLink, bounds: AskBounds) => Promise<Answer>;

/** Asks whichever node answers. A question changes nothing, so it may be asked again. */
export class AnyNode {
  readonly #nodes: Nodes;
  readonly #settings: Settings;
  readonly #closing: AbortSignal;
  /** The node that answered the last question. */
  #address: string;

  /** `closing` is aborted when the log is closed. */
  constructor(nodes: Nodes, settings: Settings, closing: AbortSignal) {
    this.#nodes = nodes;
    this.#settings = settings;
    this.#closing = closing;
    this.#address = nodes.addresses[0]!;
  }

  /** Asks one node after another until one answers, for up to `deadlineMs`. Rejects with what no other node would say otherwise. */
  async ask<Answer>(question: NodeQuestion<Answer>, signal: AbortSignal | undefined): Promise<Answer> {
    const { deadlineMs } = this.#settings;
    const since = performance.now();
    const search = new NodeSearch({ nodes: this.#nodes, deadlineMs, address: this.#address, since });
    for (;;) {
      const { address } = search;
      try {
        return await this.askAt(address, question, signal, Math.max(1, since + deadlineMs - performance.now()));
      } catch (error) {
        if (this.#closing.aborted) throw closedError("none", endOfLog(this.#closing));
        if (!(error instanceof PaxlogError) || !this.#mayAskAnother(error)) throw error;
        // What is asked meanwhile need not find out once more.
        if (this.#address === address) this.#address = this.#nodes.after(address);
        await search.failed(error, signal);
      }
    }
  }

  #mayAskAnother({ retryable, code }: PaxlogError): boolean {
    return retryable || (isNodesOwnTrouble(code) && this.#nodes.addresses.length > 1);
  }

  /** Asks the node at this address, once. */
  async askAt<Answer>(
    address: string,
    question: NodeQuestion<Answer>,
    signal: AbortSignal | undefined,
    leftMs = this.#settings.deadlineMs,
  ): Promise<Answer> {
    if (this.#closing.aborted) throw closedError("none", endOfLog(this.#closing));
    if (signal?.aborted) throw cancelled(signal, "none");
    if (!(await this.#nodes.connected(address, Math.min(leftMs, limits.clientConnectMs), signal))) {
      if (signal?.aborted) throw cancelled(signal, "none");
      throw noConnection(address);
    }
    // A node that does not answer must not use up the time in which another one would.
    const deadlineMs = Math.min(leftMs, this.#nodes.addresses.length > 1 ? limits.clientAskMs : limits.unaryDeadlineMs);
    return question(this.#nodes.link(address), { deadlineMs, signal });
  }
}
