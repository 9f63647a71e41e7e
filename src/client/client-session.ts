import { assert } from "../base/assert.ts";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { RecordInput } from "../format/batch-encode.ts";
import { recordTypeOf } from "../machine/machine.ts";
import { cancelled, onAbort, pause } from "./abort.ts";
import { appendEncoded, appendRecords, checkSerial } from "./append-calls.ts";
import type { AppendPurpose } from "./append-stream.ts";
import { Appender, type AppenderContext } from "./appender.ts";
import type { LeaderCalls } from "./leader-calls.ts";
import type { Appended, AppendedMany, CallOptions, Session, SessionAppendOptions, SessionState } from "./log.ts";
import { builtinNames } from "./objects/builtins.ts";
import type { ExecuteOptions } from "./objects/handles.ts";
import type { PlacedReply } from "./objects/machine-calls.ts";
import { sessionLost, sessionOver } from "./outcomes.ts";
import { Serials } from "./serials.ts";
import { type Moment, momentNow, SessionLife } from "./session-life.ts";

/** A session as the log granted it. */
export interface GrantedSession {
  readonly id: number;
  readonly ttlMs: number;
  readonly nextSerial: number;
  /** When it was asked for: it lives at least its ttl from then on. */
  readonly since: Moment;
}

export interface ClientSessionParts {
  readonly context: AppenderContext;
  readonly leader: LeaderCalls;
  readonly granted: GrantedSession;
  /** With "execute" all that it appends are commands of machines on the nodes. */
  readonly purpose: AppendPurpose;
  /** Called when it was closed. */
  readonly onEnd: () => void;
}

/** One session: an appender whose batches have serials, and the signs of life that keep it. */
export class ClientSession implements Session {
  readonly id: number;
  readonly ttlMs: number;
  /** How long it surely lives. */
  readonly life: SessionLife;
  readonly #serials: Serials;
  readonly #appender: Appender;
  readonly #leader: LeaderCalls;
  readonly #onEnd: () => void;
  /** Aborted when it needs to be kept no longer. */
  readonly #ended = new AbortController();
  #closed: Promise<void> | undefined;

  constructor({ context, leader, granted, purpose, onEnd }: ClientSessionParts) {
    this.id = granted.id;
    this.ttlMs = granted.ttlMs;
    this.life = new SessionLife(granted.id, granted.ttlMs, granted.since);
    this.#serials = new Serials(granted.id, granted.nextSerial);
    this.#appender = new Appender(context, this.#serials, purpose);
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

  /** Sends one command to a machine on the nodes. Only for a session whose purpose is to execute. */
  async execute(machine: string, value: Uint8Array, { serial, signal }: ExecuteOptions): Promise<PlacedReply> {
    checkSerial(serial);
    const record = { type: recordTypeOf({ name: machine }), value };
    // What a node says of a machine of its user must not hit the commands for others.
    const kin = builtinNames.has(machine) ? undefined : machine;
    const placed = await this.#appender.append({ kind: "records", records: [record] }, { serial, kin, signal });
    const reply = placed.replies?.[0];
    assert(reply !== undefined, "a stream of commands brings replies");
    if (reply.kind === "failed") throw reply.error;
    return { position: placed.first, time: placed.time, reply: reply.reply };
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
    this.life.end(reason ?? new PaxlogError("CLOSED", "the log was closed"));
    await this.#appender.close(graceMs, reason);
    this.#ended.abort();
  }

  async #close(signal: AbortSignal | undefined): Promise<void> {
    this.life.end(new PaxlogError("CLOSED", "the session was closed"));
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
      const sent = momentNow();
      try {
        await this.#leader.ask((link, bounds) => link.keepSession(this.id, bounds), signal, periodMs);
        this.life.confirm(sent);
      } catch (error) {
        if (signal.aborted) return;
        // Anything else may pass before the session expires, and the log says if it did not.
        if (!(error instanceof PaxlogError) || error.code !== "SESSION_UNKNOWN") continue;
        this.life.end(sessionLost(this.id, error));
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
