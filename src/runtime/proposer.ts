import { assert, assertNever, defined } from "../base/assert.ts";
import { type PaxlogError, withOutcome } from "../base/errors.ts";
import type { AppendAnswer } from "../core/effect.ts";
import type { DiskRoom } from "../core/election.ts";
import { emptyPayload } from "../core/entry.ts";
import type { AppendProposal, Proposal } from "../core/event.ts";
import type { Guards, Refusal } from "../core/guards.ts";
import { guardsOfBatch } from "../format/batch-guards.ts";
import { entryHeaderBytes } from "../format/entry.ts";
import type { AppendOrder, AppendResult, CheckedBatch } from "../transport/backend.ts";
import {
  fenceRefused,
  givesWay,
  guardRefused,
  holdBelowHead,
  holdTaken,
  leaderLost,
  noSpace,
  overloaded,
  sessionGap,
  sessionOverflow,
  sessionUnknown,
} from "./append-errors.ts";
import { ProposalQueue } from "./proposal-queue.ts";

type WithoutId<P> = P extends Proposal ? Omit<P, "requestId"> : never;
/** Everything that may be ordered and is no append. */
export type ControlProposal = WithoutId<Exclude<Proposal, AppendProposal>>;
export type SessionAnswer = Extract<AppendAnswer, { kind: "session" }>;
export type FenceAnswer = Extract<AppendAnswer, { kind: "fenced" }>;
export type RetainedAnswer = Extract<AppendAnswer, { kind: "trimmed" | "held" | "dropped" }>;
export type ControlAnswer = SessionAnswer | FenceAnswer | RetainedAnswer;

/** What somebody asks to be ordered. Its answer is given exactly once. */
type Waiting = WaitingAppend | WaitingControl;

interface WaitingAppend {
  readonly kind: "append";
  readonly bytes: number;
  readonly batch: CheckedBatch;
  readonly guards: Guards | undefined;
  readonly order: AppendOrder | undefined;
  readonly done: (result: AppendResult) => void;
  /** How it failed, once that is known. */
  failure: PaxlogError | undefined;
}

interface WaitingControl {
  readonly kind: "control";
  readonly bytes: number;
  readonly proposal: ControlProposal;
  readonly resolve: (answer: ControlAnswer) => void;
  readonly reject: (error: PaxlogError) => void;
}

export interface ProposerOptions {
  /** The node's, for errors. */
  readonly name: string;
  /** A number that no other request of the node has. */
  readonly nextRequestId: () => number;
  /** The error that sends callers to the leader. */
  readonly notLeader: () => PaxlogError;
  /** Whether the node's disk is full: then no append is ordered, and everything else is. */
  readonly diskRoom: () => DiskRoom;
}

/**
 * Everything that callers ask to be ordered: it waits here until the core has room for it, and is answered here when the core
 * knows its fate. Once an append of a caller failed no later one of it is handed to the core, so that of what a caller sent a
 * prefix is in the log.
 */
export class Proposer {
  readonly #options: ProposerOptions;
  readonly #queue = new ProposalQueue<Waiting>();
  /** What the core holds, by request id: at most a window. */
  readonly #ordered = new Map<number, Waiting>();
  #ended: PaxlogError | undefined;

  constructor(options: ProposerOptions) {
    this.#options = options;
  }

  get waitingCount(): number {
    return this.#queue.length;
  }

  get orderedCount(): number {
    return this.#ordered.size;
  }

  get hasRoom(): boolean {
    return this.#queue.hasRoom || this.#ended !== undefined;
  }

  whenRoom(callback: () => void): void {
    this.#queue.whenRoom(callback);
  }

  append(
    batch: CheckedBatch,
    guards: Guards | undefined,
    done: (result: AppendResult) => void,
    order: AppendOrder | undefined,
  ): void {
    const bytes = guards === undefined ? batch.batch.length : batch.batch.length + guardBytes(guards);
    this.#offer({ kind: "append", bytes, batch, guards, order, done, failure: undefined });
  }

  /** Rejects as an append fails. */
  request(proposal: ControlProposal): Promise<ControlAnswer> {
    return new Promise((resolve, reject) =>
      this.#offer({ kind: "control", bytes: controlBytes, proposal, resolve, reject }),
    );
  }

  /** The oldest ones, as many as there is room for; they are ordered from now on. */
  next(room: { readonly slots: number; readonly bytes: number }): Proposal[] {
    let { slots, bytes } = room;
    const proposals: Proposal[] = [];
    while (slots > 0 && bytes > 0) {
      const waiting = this.#queue.take();
      if (waiting === undefined) break;
      const refusal = refusalOf(waiting) ?? this.#spaceRefusal(waiting);
      if (refusal !== undefined) {
        fail(waiting, refusal);
        continue;
      }
      const proposal = this.#proposalOf(waiting);
      this.#ordered.set(proposal.requestId, waiting);
      proposals.push(proposal);
      slots -= 1;
      // Counted as the core counts it, so that it refuses nothing of what is handed over.
      const payload = proposal.kind === "append" ? proposal.payload : emptyPayload;
      bytes -= entryHeaderBytes + payload.guards.length + payload.batch.length;
    }
    return proposals;
  }

  /**
   * The core has answered, and the answer will be carried out at the end of the turn. If an append failed, those that its caller sent
   * behind it are refused from now on: they may be next.
   */
  foresee(requestId: number, answer: AppendAnswer): void {
    if (answer.kind !== "refused" && answer.kind !== "failed") return;
    const waiting = this.#waitingFor(requestId);
    if (waiting.kind === "control") return;
    waiting.failure = this.#failureOf(waiting, answer);
    noteFailure(waiting, waiting.failure);
  }

  /** The core's answer to one that was handed over. */
  answer(requestId: number, answer: AppendAnswer): void {
    const waiting = this.#waitingFor(requestId);
    this.#ordered.delete(requestId);
    switch (answer.kind) {
      case "acknowledged":
        assert(waiting.kind === "append", "only an append is acknowledged");
        return waiting.done(answer);
      case "session":
      case "fenced":
      case "trimmed":
      case "held":
      case "dropped":
        assert(waiting.kind === "control", "an append is answered as an append");
        return waiting.resolve(answer);
      case "belowHead":
        return fail(waiting, holdBelowHead(answer.head));
      case "holdTaken":
        return fail(waiting, holdTaken(waiting.kind === "control" ? waiting.proposal : undefined, answer.owner));
      case "refused":
      case "failed":
        return fail(waiting, (waiting.kind === "append" && waiting.failure) || this.#failureOf(waiting, answer));
      default:
        return assertNever(answer);
    }
  }

  /** Nothing may wait on a node that does not lead: its callers go to the leader. */
  refuseWaiting(): void {
    if (this.#queue.length > 0) this.#failWaiting(this.#options.notLeader());
  }

  /** Fails everything. What the core holds may have happened; what waits has not. Later requests are refused. */
  end(reason: PaxlogError): void {
    const none = withOutcome(reason, "none");
    const unknown = withOutcome(reason, "unknown");
    this.#ended = none;
    const ordered = [...this.#ordered.values()];
    this.#ordered.clear();
    for (const waiting of ordered) fail(waiting, unknown);
    this.#failWaiting(none);
  }

  #offer(waiting: Waiting): void {
    const refusal =
      this.#ended ?? refusalOf(waiting) ?? (this.#queue.offer(waiting) ? undefined : overloaded(this.#options.name));
    if (refusal === undefined) return;
    // Noted at once, since the caller's next append may come before this one's answer.
    if (waiting.kind === "append") noteFailure(waiting, refusal);
    queueMicrotask(() => fail(waiting, refusal));
  }

  #spaceRefusal({ kind }: Waiting): PaxlogError | undefined {
    if (kind !== "append") return undefined;
    const { name, diskRoom } = this.#options;
    const room = diskRoom();
    switch (room) {
      case "enough":
        return undefined;
      case "elsewhere":
        return givesWay(name);
      case "none":
        return noSpace(name);
      default:
        return assertNever(room);
    }
  }

  #failWaiting(error: PaxlogError): void {
    for (let waiting = this.#queue.take(); waiting !== undefined; waiting = this.#queue.take()) fail(waiting, error);
  }

  #proposalOf(waiting: Waiting): Proposal {
    const requestId = this.#options.nextRequestId();
    if (waiting.kind === "control") return { ...waiting.proposal, requestId };
    const { batch, guards, order } = waiting;
    const payload = { batch: batch.batch, guards: guardsOfBatch(batch.batch) };
    const caller = order === undefined || order.independent ? 0 : order.caller.id;
    return {
      kind: "append",
      requestId,
      payload,
      batchChecksum: batch.crc32c,
      recordCount: batch.recordCount,
      guards,
      caller,
    };
  }

  #waitingFor(requestId: number): Waiting {
    return defined(this.#ordered.get(requestId), `the caller of request ${requestId}`);
  }

  #failureOf(waiting: Waiting, answer: Extract<AppendAnswer, { kind: "refused" | "failed" }>): PaxlogError {
    if (answer.kind === "refused") return refusedError(waiting, answer.refusal);
    switch (answer.code) {
      case "NOT_LEADER":
        return this.#options.notLeader();
      case "LEADER_LOST":
        return leaderLost(this.#options.name);
      case "OVERLOADED":
        return overloaded(this.#options.name);
      case "SESSION_UNKNOWN":
        return sessionUnknown();
      case "SESSION_OVERFLOW":
        return sessionOverflow();
      case "SESSION_GAP":
        return sessionGap();
      default:
        return assertNever(answer.code);
    }
  }
}

/** What a request that is no append takes in the queue, about. */
const controlBytes = 64;

/** Text of the guards, as UTF-16 has it. */
function guardBytes({ conditions = [], streams = [] }: Guards): number {
  let bytes = controlBytes;
  for (const { query } of conditions) {
    for (const { types, tags } of query.items) for (const text of [...types, ...tags]) bytes += 2 * text.length;
  }
  for (const { tag } of streams) bytes += 2 * tag.length;
  return bytes;
}

/** Why it may not be ordered, whatever the log is like; undefined where nothing speaks against it. */
const refusalOf = (waiting: Waiting): PaxlogError | undefined =>
  waiting.kind === "append" ? waiting.order?.caller.refusal : undefined;

/** An append behind a refused one of its caller is refused with it, and says so. */
function refusedError(waiting: Waiting, refusal: Refusal): PaxlogError {
  if (waiting.kind === "control")
    return fenceRefused(refusal, waiting.proposal.kind === "fence" ? waiting.proposal.token : 0);
  const { order, guards } = waiting;
  const behind = order?.independent === false ? order.caller.refusal : undefined;
  return behind ?? guardRefused(refusal, guards);
}

function fail(waiting: Waiting, error: PaxlogError): void {
  if (waiting.kind === "control") return waiting.reject(error);
  noteFailure(waiting, error);
  waiting.done({ kind: "failed", error });
}

function noteFailure({ order }: WaitingAppend, error: PaxlogError): void {
  order?.caller.failed(error, order.independent);
}
