import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { NodeStatus } from "../format/api-codec.ts";
import { scanBatch } from "../format/batch.ts";
import { faultError } from "../format/batch-decode.ts";
import type { RecordInput } from "../format/batch-encode.ts";
import { cancelled, pause, retryDelay } from "./abort.ts";
import { Appender } from "./appender.ts";
import type {
  Appended,
  AppendedMany,
  CallOptions,
  Log,
  LogBounds,
  LogRead,
  ReadOptions,
  StatusOptions,
  TailOptions,
} from "./log.ts";
import { openRead } from "./log-read.ts";
import type { AskBounds, NodeLink } from "./node-link.ts";
import { type Nodes, noConnection } from "./nodes.ts";
import type { Placed } from "./pending-append.ts";
import type { Settings } from "./settings.ts";

/** A question that any node can answer. */
type Question<Answer> = (link: NodeLink, bounds: AskBounds) => Promise<Answer>;

/** The Log over links to nodes, whatever these are. */
export class ClientLog implements Log {
  readonly #nodes: Nodes;
  readonly #settings: Settings;
  readonly #hashing: Hashing;
  readonly #appender: Appender;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;
  /** The node that answered the last question. */
  #address: string;

  constructor(nodes: Nodes, settings: Settings, hashing: Hashing) {
    this.#nodes = nodes;
    this.#settings = settings;
    this.#hashing = hashing;
    this.#appender = new Appender(nodes, settings, hashing);
    this.#address = nodes.addresses[0]!;
  }

  append(records: readonly RecordInput[], options?: CallOptions): Promise<AppendedMany>;
  append(record: RecordInput, options?: CallOptions): Promise<Appended>;
  async append(
    input: RecordInput | readonly RecordInput[],
    options: CallOptions = {},
  ): Promise<Appended | AppendedMany> {
    if (!isMany(input)) {
      const { first, time } = await this.#appender.append({ kind: "records", records: [input] }, options.signal);
      return { position: first, time };
    }
    if (input.length === 0) throw new PaxlogError("INVALID_ARGUMENT", "append needs at least one record");
    return manyOf(await this.#appender.append({ kind: "records", records: input }, options.signal));
  }

  async appendBatch(batch: Uint8Array, options: CallOptions = {}): Promise<AppendedMany> {
    if (!(batch instanceof Uint8Array)) throw new PaxlogError("INVALID_ARGUMENT", "a batch is a Uint8Array");
    const scan = scanBatch(batch);
    if (scan.kind !== "ok") throw faultError(scan);
    return manyOf(
      await this.#appender.append({ kind: "batch", bytes: batch, recordCount: scan.recordCount }, options.signal),
    );
  }

  read(options: ReadOptions = {}): LogRead {
    const context = {
      nodes: this.#nodes,
      settings: this.#settings,
      hashing: this.#hashing,
      closing: this.#closing.signal,
    };
    return openRead(context, options);
  }

  async tail(options: TailOptions = {}): Promise<LogBounds> {
    const { freshness = "linearizable" } = options;
    return this.#askAny((link, bounds) => link.checkTail(freshness, bounds), options.signal);
  }

  async status(options: StatusOptions = {}): Promise<NodeStatus> {
    const question: Question<NodeStatus> = (link, bounds) => link.status(bounds);
    if (options.address === undefined) return this.#askAny(question, options.signal);
    if (!this.#nodes.learn(options.address)) {
      throw new PaxlogError("INVALID_ARGUMENT", `"${options.address}" is not the client address of a node`);
    }
    return this.#ask(options.address, question, options.signal, this.#settings.deadlineMs);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#appender.close(this.#settings.closeMs);
    this.#closing.abort();
    this.#nodes.close();
  }

  /** Asks one node after another until one answers. A question changes nothing, so it may be asked again. */
  async #askAny<Answer>(question: Question<Answer>, signal: AbortSignal | undefined): Promise<Answer> {
    const end = performance.now() + this.#settings.deadlineMs;
    for (let attempt = 1; ; attempt += 1) {
      const address = this.#address;
      try {
        return await this.#ask(address, question, signal, Math.max(1, end - performance.now()));
      } catch (error) {
        if (!(error instanceof PaxlogError) || !error.retryable) throw error;
        if (this.#address === address) this.#address = this.#nodes.after(address);
        const round = Math.floor(attempt / this.#nodes.addresses.length);
        const delayMs = round === 0 ? 0 : retryDelay(round - 1, limits.clientRetryMsFirst, limits.clientRetryMsMax);
        if (performance.now() + delayMs >= end) throw error;
        if (delayMs > 0) await pause(delayMs, signal);
      }
    }
  }

  async #ask<Answer>(
    address: string,
    question: Question<Answer>,
    signal: AbortSignal | undefined,
    leftMs: number,
  ): Promise<Answer> {
    if (this.#closed !== undefined) throw new PaxlogError("CLOSED", "the log was closed");
    if (signal?.aborted) throw cancelled(signal, "none");
    if (!(await this.#nodes.connected(address, Math.min(leftMs, limits.clientConnectMs), signal))) {
      if (signal?.aborted) throw cancelled(signal, "none");
      throw noConnection(address);
    }
    const deadlineMs = Math.min(leftMs, limits.unaryDeadlineMs);
    return question(this.#nodes.link(address), { deadlineMs, signal });
  }
}

/** Array.isArray does not narrow a readonly array out of the union. */
function isMany(input: RecordInput | readonly RecordInput[]): input is readonly RecordInput[] {
  return Array.isArray(input);
}

function manyOf({ first, count, time }: Placed): AppendedMany {
  return { first, last: first + count - 1, time };
}
