import { limits } from "../../base/limits.ts";
import type { Freshness } from "../../format/api-codec.ts";
import type { AskRequest, AskResponse } from "../../format/object-codec.ts";
import type { AnyNode } from "../any-node.ts";

interface Asked {
  readonly question: Uint8Array;
  resolve(answer: AskResponse): void;
  reject(error: unknown): void;
}

/** Questions to one machine that are content with the same look at the log. */
interface Batch {
  readonly machine: string;
  readonly freshness: Freshness;
  readonly asked: Asked[];
  bytes: number;
}

/**
 * Questions that are asked in one turn of the event loop travel together, those to one machine with the same freshness: one call and
 * one look at the log for all of them. Each is answered as if it had been asked by itself.
 */
export class SharedQuestions {
  readonly #nodes: AnyNode;
  /** Of this turn, by machine and freshness: those that have room for more. */
  readonly #open = new Map<string, Batch>();
  /** All of this turn. */
  #batches: Batch[] = [];

  constructor(nodes: AnyNode) {
    this.#nodes = nodes;
  }

  ask({ machine, question, freshness }: AskRequest): Promise<AskResponse> {
    return new Promise((resolve, reject) => {
      const batch = this.#batchFor(machine, freshness, question.length);
      batch.asked.push({ question, resolve, reject });
      batch.bytes += question.length;
    });
  }

  #batchFor(machine: string, freshness: Freshness, length: number): Batch {
    const wanted = typeof freshness === "object" ? freshness.atLeast : freshness;
    const key = `${wanted} ${machine}`;
    const open = this.#open.get(key);
    const hasRoom = open !== undefined && open.asked.length < limits.askManyQuestions;
    if (hasRoom && open.bytes + length <= limits.askManyBytes) return open;
    const batch: Batch = { machine, freshness, asked: [], bytes: 0 };
    this.#open.set(key, batch);
    this.#batches.push(batch);
    if (this.#batches.length === 1) setImmediate(() => this.#send());
    return batch;
  }

  #send(): void {
    const batches = this.#batches;
    this.#batches = [];
    this.#open.clear();
    for (const batch of batches) void this.#askTogether(batch);
  }

  async #askTogether({ machine, freshness, asked }: Batch): Promise<void> {
    const alone = (one: Asked): void => this.#askAlone({ machine, question: one.question, freshness }, one);
    if (asked.length === 1) return alone(asked[0]!);
    const questions = asked.map(({ question }) => question);
    try {
      const answered = await this.#nodes.ask(
        (link, bounds) => link.askMany({ machine, questions, freshness }, bounds),
        undefined,
      );
      const { answers, ...rest } = answered;
      asked.forEach((one, index) => {
        const answer = answers[index];
        if (answer === undefined) alone(one);
        else one.resolve({ answer, ...rest });
      });
    } catch (error) {
      for (const one of asked) one.reject(error);
    }
  }

  #askAlone(request: AskRequest, { resolve, reject }: Asked): void {
    this.#nodes.ask((link, bounds) => link.ask(request, bounds), undefined).then(resolve, reject);
  }
}
