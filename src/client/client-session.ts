import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { RecordInput } from "../format/batch-encode.ts";
import { cancelled, onAbort, pause } from "./abort.ts";
import { appendEncoded, appendRecords } from "./append-calls.ts";
import { Appender, type AppenderContext } from "./appender.ts";
import type { LeaderCalls } from "./leader-calls.ts";
import type { Appended, AppendedMany, CallOptions, Session, SessionAppendOptions, SessionState } from "./log.ts";
import { sessionOver } from "./outcomes.ts";
import { Serials } from "./serials.ts";

/** A session as the log granted it. */
export interface GrantedSession {
  readonly id: number;
  readonly ttlMs: number;
  readonly nextSerial: number;
}

/** One session: an appender whose batches have serials, and the signs of life that keep it. */
export class ClientSession implements Session {
  readonly id: number;
  readonly ttlMs: number;
  readonly #serials: Serials;
  readonly #appender: Appender;
  readonly #leader: LeaderCalls;
  readonly #onEnd: () => void;
  /** Aborted when it needs to be kept no longer. */
  readonly #ended = new AbortController();
  #closed: Promise<void> | undefined;

  /** `onEnd` is called when it was closed. */
  constructor(context: AppenderContext, leader: LeaderCalls, granted: GrantedSession, onEnd: () => void) {
    this.id = granted.id;
    this.ttlMs = granted.ttlMs;
    this.#serials = new Serials(granted.id, granted.nextSerial);
    this.#appender = new Appender(context, this.#serials);
    this.#leader = leader;
    this.#onEnd = onEnd;
    void this.#keep();
  }

  /** Calls that wait get their serials when they are sent, at most one each: so many are spoken for. */
  get state(): SessionState {
    return { id: this.id, nextSerial: this.#serials.next + this.#appender.waitingCount };
  }

  append(records: readonly RecordInput[], options?: SessionAppendOptions): Promise<AppendedMany>;
  append(record: RecordInput, options?: SessionAppendOptions): Promise<Appended>;
  append(
    input: RecordInput | readonly RecordInput[],
    options: SessionAppendOptions = {},
  ): Promise<Appended | AppendedMany> {
    return appendRecords(this.#appender, input, options);
  }

  appendBatch(batch: Uint8Array, options: SessionAppendOptions = {}): Promise<AppendedMany> {
    return appendEncoded(this.#appender, batch, options);
  }

  close(options: CallOptions = {}): Promise<void> {
    this.#closed ??= this.#close(options.signal);
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The log is closed: appends may end within the time, and the session stays until it expires or is resumed. */
  async abandon(graceMs: number, reason?: PaxlogError): Promise<void> {
    await this.#appender.close(graceMs, reason);
    this.#ended.abort();
  }

  async #close(signal: AbortSignal | undefined): Promise<void> {
    try {
      this.#appender.stop(new PaxlogError("CLOSED", "the session was closed; nothing was written"), "goes on");
      await idleOrAborted(this.#appender, signal);
      await this.#leader.ask((link, bounds) => link.closeSession(this.id, bounds), signal).catch(forgotten);
    } finally {
      await this.#appender.close(0);
      this.#ended.abort();
      this.#onEnd();
    }
  }

  /** Tells the log now and then that somebody is there. Never keeps the process alive. */
  async #keep(): Promise<void> {
    const periodMs = Math.max(1, Math.floor(this.ttlMs / limits.clientKeepsPerTtl));
    const { signal } = this.#ended;
    for (;;) {
      await pause(periodMs, signal, "may exit");
      if (signal.aborted) return;
      try {
        await this.#leader.ask((link, bounds) => link.keepSession(this.id, bounds), signal, periodMs);
      } catch (error) {
        if (signal.aborted) return;
        // Anything else may pass before the session expires, and the log says if it did not.
        if (!(error instanceof PaxlogError) || error.code !== "SESSION_UNKNOWN") continue;
        return this.#appender.stop(sessionOver(error), "fails");
      }
    }
  }
}

async function idleOrAborted(appender: Appender, signal: AbortSignal | undefined): Promise<void> {
  let forget = () => {};
  const aborted = new Promise<void>((resolve) => {
    forget = onAbort(signal, resolve);
  });
  await Promise.race([appender.idle(), aborted]);
  forget();
  if (signal?.aborted) throw cancelled(signal, "none");
}

/** What is to be forgotten was forgotten: by an earlier attempt, or because it expired. */
function forgotten(error: unknown): void {
  if (!(error instanceof PaxlogError) || error.code !== "SESSION_UNKNOWN") throw error;
}
