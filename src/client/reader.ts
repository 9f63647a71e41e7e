import { type ErrorCode, PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { defaultLogId } from "../base/types.ts";
import type { FreshnessKind, ReadBatch, ReadResponse } from "../format/api-codec.ts";
import { onAbort } from "./abort.ts";
import type { CallEnd } from "./call.ts";
import type { LogBatch } from "./log-batch.ts";
import type { ReadCall } from "./node-link.ts";
import { NodeSearch } from "./node-search.ts";
import { type Nodes, noConnection } from "./nodes.ts";
import { endOfLog } from "./outcomes.ts";
import type { ReadPlan } from "./read-plan.ts";
import { ReadProgress } from "./read-progress.ts";
import { nextOrQuiet, quietError } from "./read-stream.ts";
import type { Settings } from "./settings.ts";

/** What a read needs of its log. */
export interface ReadContext {
  readonly nodes: Nodes;
  readonly settings: Settings;
  readonly hashing: Hashing;
  /** Aborted when the log is closed. */
  readonly closing: AbortSignal;
}

/** The caller's own mistakes: another node would say the same. */
const requestFaults: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "INVALID_ARGUMENT",
  "UNKNOWN_LOG",
  "POSITION_PAST_TAIL",
  "POSITION_BELOW_HEAD",
  "GUARD_TOO_LARGE",
]);

/** One read from its first record to its end, over as many streams and nodes as it takes. */
export class Reader {
  readonly #context: ReadContext;
  readonly #plan: ReadPlan;
  /** Aborted when the read is stopped or the log is closed. */
  readonly #halt = new AbortController();
  #stopped = false;
  readonly #search: NodeSearch;
  readonly #progress: ReadProgress;
  #caughtUp = false;
  /** Whether any node has answered yet. */
  #answered = false;

  constructor(context: ReadContext, plan: ReadPlan) {
    this.#context = context;
    this.#plan = plan;
    const { nodes, settings } = context;
    this.#search = new NodeSearch({ nodes, deadlineMs: settings.deadlineMs });
    this.#progress = new ReadProgress(plan);
  }

  /** Ends the read without an error: whoever waits for the next batch hears that there is none. */
  stop(): void {
    this.#stopped = true;
    this.#halt.abort();
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  async *batches(): AsyncGenerator<LogBatch, void, void> {
    const { signal } = this.#plan;
    if (signal?.aborted) return;
    const forget = [onAbort(signal, () => this.stop()), onAbort(this.#context.closing, () => this.#halt.abort())];
    try {
      while (!this.#isDone()) {
        const stream = await this.#open();
        if (stream === undefined) continue;
        const cancel = onAbort(this.#halt.signal, () => stream.cancel());
        try {
          yield* this.#drain(stream);
        } finally {
          cancel();
          stream.cancel();
        }
      }
    } finally {
      for (const each of forget) each();
    }
  }

  /** Throws CLOSED where the log was closed under the read: that is not an end of the log. */
  #isDone(): boolean {
    if (this.#stopped || this.#progress.isOver) return true;
    const { closing } = this.#context;
    if (closing.aborted) throw endOfLog(closing) ?? new PaxlogError("CLOSED", "the log was closed during the read");
    return false;
  }

  async #open(): Promise<ReadCall | undefined> {
    const { nodes } = this.#context;
    const address = this.#search.address;
    const halted = this.#halt.signal;
    if (await nodes.connected(address, limits.clientConnectMs, halted)) {
      const { follow, freshness } = this.#plan;
      return nodes.link(address).openRead({ logId: defaultLogId, ...this.#progress.rest, follow, freshness });
    }
    if (!halted.aborted) await this.#failed(noConnection(address));
    return undefined;
  }

  /** Hands out everything that one stream brings. Returns where the read should look again whether it is done. */
  async *#drain(stream: ReadCall): AsyncGenerator<LogBatch, void, void> {
    for (;;) {
      const event = await nextOrQuiet(stream);
      if (this.#isDone()) return;
      if (event === "quiet") return await this.#failed(quietError(this.#search.address));
      if (event.kind === "end") return await this.#onEnd(event.end);
      const { response } = event;
      if (response.begin) this.#progress.begin(response.begin);
      if (response.freshness !== undefined) this.#tellBegun(response, response.freshness);
      const fault = yield* this.#take(response);
      if (fault !== undefined) return await this.#failed(fault);
      // What was handed out last may not have been taken: nobody must be told to go on behind it.
      if (this.#stopped) return;
      this.#answered = true;
      this.#search.answered();
      this.#progress.searched(response);
      this.#tell(response);
      if (this.#isDone()) return;
    }
  }

  async #onEnd({ error }: CallEnd): Promise<void> {
    if (error !== undefined) return this.#failed(error);
    // History ends where the node says so; a node that ends a read which follows wants its reader to go elsewhere.
    if (!this.#plan.follow || this.#plan.to !== undefined || this.#plan.toTime !== undefined) this.#progress.end();
    else await this.#failed(new PaxlogError("UNAVAILABLE", `${this.#search.address} ended a read that follows`));
  }

  /** Returns what is wrong with the node's answer, if anything is: what came before was handed out. */
  *#take(response: ReadResponse): Generator<LogBatch, PaxlogError | undefined, void> {
    for (const stored of response.batches) {
      const batch = this.#progress.due(stored);
      if (batch === "none") continue;
      if (batch === "leaves out records") return this.#gapIn(stored);
      const facts = { address: this.#search.address, position: stored.firstPosition };
      if (this.#context.hashing.crc32c(stored.batch) !== stored.crc32c) {
        const message = `the batch at ${stored.firstPosition} from ${this.#search.address} does not match its checksum: it was damaged on its way`;
        return new PaxlogError("CHECKSUM_MISMATCH", message, { facts });
      }
      if (!this.#progress.pass(batch, stored)) return undefined;
      yield batch;
      if (this.#progress.isOver || this.#stopped) break;
    }
    return undefined;
  }

  #gapIn({ firstPosition }: ReadBatch): PaxlogError {
    const { next } = this.#progress;
    const message = `${this.#search.address} sent position ${firstPosition} where ${next} was due: a node must not leave out records`;
    return new PaxlogError("INVARIANT_BROKEN", message, {
      facts: { address: this.#search.address, position: firstPosition },
    });
  }

  #tellBegun({ head = 0, tail }: ReadResponse, freshness: FreshnessKind): void {
    const { next } = this.#progress;
    this.#plan.onNotice?.({ kind: "begun", address: this.#search.address, freshness, next, head, tail });
  }

  #tell({ batches, caughtUp, fellBehind = false, tail, freshness }: ReadResponse): void {
    const { onNotice, onCaughtUp } = this.#plan;
    const { next } = this.#progress;
    if (fellBehind) {
      this.#caughtUp = false;
      onNotice?.({ kind: "fellBehind", next, tail });
    }
    if (caughtUp && !this.#caughtUp) {
      this.#caughtUp = true;
      onNotice?.({ kind: "caughtUp", next, tail });
      onCaughtUp?.(tail);
    } else if (batches.length === 0 && freshness === undefined) onNotice?.({ kind: "heartbeat", next, tail });
  }

  /** Throws where no other node could help or it took too long; otherwise goes to the next node after a pause. */
  async #failed(error: PaxlogError): Promise<void> {
    // A node that lags behind the one before may not have the place of a read yet that does not wait for it.
    const { hasMoved } = this.#progress;
    const lags = error.code === "POSITION_PAST_TAIL" && hasMoved && this.#plan.freshness !== "linearizable";
    if (requestFaults.has(error.code) && !lags) throw error;
    const patient = this.#plan.follow && this.#answered && (error.retryable || lags);
    await this.#search.failed(error, this.#halt.signal, patient);
  }
}
