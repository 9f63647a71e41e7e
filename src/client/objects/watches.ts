import { type ErrorCode, PaxlogError } from "../../base/errors.ts";
import { limits } from "../../base/limits.ts";
import type { WatchResponse } from "../../format/object-codec.ts";
import type { MachineChange } from "../../machine/machine.ts";
import { onAbort } from "../abort.ts";
import type { AnyNode } from "../any-node.ts";
import type { WatchCall } from "../node-link.ts";
import { NodeSearch } from "../node-search.ts";
import { noConnection } from "../nodes.ts";
import { endOfLog } from "../outcomes.ts";
import { nextOrQuiet, quietError } from "../read-stream.ts";
import type { ReadContext } from "../reader.ts";
import type { WatchOptions } from "./handles.ts";

/** No other node would say anything else. */
const verdicts: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["INVALID_ARGUMENT", "MACHINE_UNKNOWN", "CHANGES_GONE"]);

/** Watches of one log. */
export class Watches {
  readonly #context: ReadContext;
  readonly #nodes: AnyNode;

  constructor(context: ReadContext, nodes: AnyNode) {
    this.#context = context;
    this.#nodes = nodes;
  }

  /**
   * The changes from a position on, in the order of the log, over as many streams and nodes as it takes. Ends with the signal. Throws
   * CHANGES_GONE, INVALID_ARGUMENT or MACHINE_UNKNOWN, and CLOSED where the log was closed.
   */
  async *changes(
    machine: string,
    question: Uint8Array,
    { from, signal }: WatchOptions,
  ): AsyncGenerator<MachineChange, void, void> {
    if (from !== undefined && !(Number.isSafeInteger(from) && from >= 1)) {
      throw new PaxlogError("INVALID_ARGUMENT", "from must be a position: a whole number from 1");
    }
    if (signal?.aborted) return;
    const watch = new Watch(this.#context, machine, question, from ?? (await this.#tail(signal)));
    const forget = onAbort(signal, () => watch.stop());
    try {
      yield* watch.changes();
    } finally {
      forget();
      watch.stop();
    }
  }

  /** What comes "from now on" is what comes behind everything that was acknowledged before. */
  async #tail(signal: AbortSignal | undefined): Promise<number> {
    const { tail } = await this.#nodes.ask((link, bounds) => link.checkTail("linearizable", bounds), signal);
    return tail;
  }
}

class Watch {
  readonly #context: ReadContext;
  readonly #machine: string;
  readonly #question: Uint8Array;
  readonly #halt = new AbortController();
  /** Everything before it was handed out. */
  #next: number;
  readonly #search: NodeSearch;
  #answered = false;

  constructor(context: ReadContext, machine: string, question: Uint8Array, from: number) {
    this.#context = context;
    this.#machine = machine;
    this.#question = question;
    this.#next = from;
    const { nodes, settings } = context;
    this.#search = new NodeSearch({ nodes, deadlineMs: settings.deadlineMs });
  }

  stop(): void {
    this.#halt.abort();
  }

  async *changes(): AsyncGenerator<MachineChange, void, void> {
    const { nodes, closing } = this.#context;
    const forget = onAbort(closing, () => this.#halt.abort());
    try {
      while (!this.#isOver()) {
        if (!(await nodes.connected(this.#search.address, limits.clientConnectMs, this.#halt.signal))) {
          if (!this.#isOver()) await this.#failed(noConnection(this.#search.address));
          continue;
        }
        const request = { machine: this.#machine, question: this.#question, from: this.#next };
        const stream = nodes.link(this.#search.address).openWatch(request);
        const cancel = onAbort(this.#halt.signal, () => stream.cancel());
        try {
          yield* this.#drain(stream);
        } finally {
          cancel();
          stream.cancel();
        }
      }
    } finally {
      forget();
    }
  }

  /** Throws CLOSED where the log was closed under the watch. */
  #isOver(): boolean {
    const { closing } = this.#context;
    if (closing.aborted) throw endOfLog(closing) ?? new PaxlogError("CLOSED", "the log was closed during the watch");
    return this.#halt.signal.aborted;
  }

  async *#drain(stream: WatchCall): AsyncGenerator<MachineChange, void, void> {
    for (;;) {
      const event = await nextOrQuiet(stream);
      if (this.#isOver()) return;
      if (event === "quiet") return await this.#failed(quietError(this.#search.address));
      if (event.kind === "end") {
        const ended = new PaxlogError("UNAVAILABLE", `${this.#search.address} ended a watch`);
        return await this.#failed(event.end.error ?? ended);
      }
      this.#answered = true;
      this.#search.answered();
      yield* this.#due(event.response);
      if (this.#isOver()) return;
    }
  }

  /** A stream begins where the one before ended, so a change is before `next` only where a node repeats itself. */
  *#due({ changes, next }: WatchResponse): Generator<MachineChange, void, void> {
    for (const change of changes) if (change.position >= this.#next) yield change;
    this.#next = Math.max(this.#next, next);
  }

  /** Throws where no other node could help or nobody ever answered; otherwise goes to the next node after a pause. */
  async #failed(error: PaxlogError): Promise<void> {
    if (verdicts.has(error.code)) throw error;
    await this.#search.failed(error, this.#halt.signal, this.#answered && error.retryable);
  }
}
