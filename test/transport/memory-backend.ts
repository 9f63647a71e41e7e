import { PaxlogError } from "../../src/base/errors.ts";
import { firstPosition, type Position } from "../../src/base/types.ts";
import type { Guards, Query } from "../../src/core/guards.ts";
import { decodeBatch } from "../../src/format/batch-decode.ts";
import type { HoldStatus } from "../../src/format/retain-codec.ts";
import { holdBelowHead, holdTaken } from "../../src/runtime/append-errors.ts";
import type {
  AppendOrder,
  AppendResult,
  CheckedBatch,
  FenceResponse,
  KeepSessionResponse,
  LogBackend,
  NodeStatus,
  OpenSessionResponse,
  ReadPiece,
  ReadStep,
  RetainRequest,
  RetainResult,
  SessionTerms,
  StoredBatch,
  Watch,
  Watched,
} from "../../src/transport/backend.ts";
import { LogJudge } from "./log-judge.ts";

/** A log in an array: a whole LogBackend with one node, no disk, and handles that tests use to slow it down or fail it. */
export class MemoryBackend implements LogBackend {
  readonly batches: StoredBatch[] = [];
  /** How many appends may wait; beyond it there is no room. */
  roomMax = 64;
  /** While true appends wait and are answered by `release`. */
  holds = false;
  /** Fails the append with this number (from 1) and lets the others be. */
  failures = new Map<number, PaxlogError>();
  /** What linearize rejects with, once set. */
  linearizeError: PaxlogError | undefined;
  linearizations = 0;
  waitingMax = 0;
  /** What each append demanded. */
  readonly guards: (Guards | undefined)[] = [];
  #appends = 0;
  readonly #log = new LogJudge();
  #waiting: (() => void)[] = [];
  #roomWaiters: (() => void)[] = [];
  #tailListeners = new Set<() => void>();
  #tail: Position = firstPosition;
  #head: Position = firstPosition;
  readonly #keeps = new Map<string, HoldStatus>();

  get waiting(): number {
    return this.#waiting.length;
  }

  get tailListeners(): number {
    return this.#tailListeners.size;
  }

  append(
    batch: CheckedBatch,
    guards: Guards | undefined,
    done: (result: AppendResult) => void,
    order?: AppendOrder | undefined,
  ): void {
    this.#appends += 1;
    const failure = this.failures.get(this.#appends);
    this.guards.push(guards);
    this.#waiting.push(() => {
      const refusal = failure ?? order?.caller.refusal;
      const result = refusal === undefined ? this.#judge(batch, guards) : ({ kind: "failed", error: refusal } as const);
      if (result.kind === "failed") order?.caller.failed(result.error, order.independent);
      done(result);
    });
    this.waitingMax = Math.max(this.waitingMax, this.#waiting.length);
    if (!this.holds) setImmediate(() => this.release());
  }

  #judge(batch: CheckedBatch, guards: Guards | undefined): AppendResult {
    const judged = this.#log.judge(guards);
    if (judged === undefined) return this.#store(batch, guards);
    return judged instanceof PaxlogError ? { kind: "failed", error: judged } : { kind: "acknowledged", ...judged };
  }

  async openSession({ ttlMs }: SessionTerms): Promise<OpenSessionResponse> {
    return this.#log.openSession(ttlMs);
  }

  async keepSession(session: number): Promise<KeepSessionResponse> {
    return unlessRefused(this.#log.keepSession(session));
  }

  async closeSession(session: number): Promise<void> {
    unlessRefused(this.#log.forget(session));
  }

  async fence(token: number): Promise<FenceResponse> {
    return unlessRefused(this.#log.raiseFence(token));
  }

  async retain<Request extends RetainRequest>(request: Request): Promise<RetainResult<Request>> {
    return this.#retain(request) as RetainResult<Request>;
  }

  #retain(request: RetainRequest): RetainResult {
    switch (request.kind) {
      case "trim": {
        const holds = [...this.#keeps.values()].filter(({ position }) => position < request.position);
        const heldBy = holds.sort((a, b) => a.position - b.position)[0];
        this.#head = Math.max(this.#head, heldBy?.position ?? request.position) as Position;
        return { head: this.#head, heldBy };
      }
      case "putHold": {
        const { kind: _, ttlMs, ...hold } = request;
        const known = this.#keeps.get(hold.name);
        if (known !== undefined && known.owner !== hold.owner) throw holdTaken(request, known.owner);
        if (hold.position < this.#head) throw holdBelowHead(this.#head);
        this.#keeps.set(hold.name, { ...hold, expiresAt: 1_000 + ttlMs });
        return { hold: this.#keeps.get(hold.name)! };
      }
      default:
        return { existed: this.#keeps.delete(request.name) };
    }
  }

  /** Answers everything that waits, in order. */
  release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const answer of waiting) answer();
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const waiter of waiters) waiter();
    if (waiting.length > 0) for (const listener of [...this.#tailListeners]) listener();
  }

  /** Puts a batch in at once. */
  put(batch: Uint8Array, crc32c: number, recordCount: number): void {
    this.#store({ batch, crc32c, recordCount }, undefined);
    for (const listener of [...this.#tailListeners]) listener();
  }

  #store(batch: CheckedBatch, guards: Guards | undefined): AppendResult {
    const firstPosition = this.#tail;
    const stored: StoredBatch = {
      firstPosition,
      recordCount: batch.recordCount,
      time: 1_000 + firstPosition,
      session: guards?.session?.id ?? 0,
      batch: batch.batch,
      crc32c: batch.crc32c,
    };
    this.batches.push(stored);
    this.#log.ordered(batch.batch, guards, stored);
    this.#tail = (firstPosition + batch.recordCount) as Position;
    return { kind: "acknowledged", firstPosition, recordCount: batch.recordCount, time: stored.time };
  }

  hasRoom(): boolean {
    return this.#waiting.length < this.roomMax;
  }

  whenRoom(callback: () => void): void {
    this.#roomWaiters.push(callback);
  }

  async linearize(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.linearizations += 1;
    if (this.linearizeError !== undefined) throw this.linearizeError;
  }

  bounds(): { readonly head: Position; readonly tail: Position } {
    return { head: this.#head, tail: this.#tail };
  }

  read({ direction, from, end, query, bytesMax, recordsMax }: ReadStep): ReadPiece {
    const forward = direction === "forward";
    const found: StoredBatch[] = [];
    let next: number = forward ? from : from;
    let bytes = 0;
    let records = 0;
    for (const batch of forward ? this.batches : this.batches.toReversed()) {
      const [first, last] = [batch.firstPosition, batch.firstPosition + batch.recordCount - 1];
      if (forward ? last < from : first > from) continue;
      if (forward ? first >= end : last <= end) break;
      if (found.length > 0 && (bytes + batch.batch.length > bytesMax || records >= recordsMax)) break;
      next = forward ? last + 1 : first - 1;
      const ordinals =
        query === undefined ? undefined : matchesOf(batch, query, forward ? [from, end] : [end + 1, from + 1]);
      if (ordinals?.length === 0) continue;
      found.push(ordinals === undefined ? batch : { ...batch, ordinals });
      bytes += batch.batch.length;
      records += ordinals?.length ?? batch.recordCount;
    }
    return { batches: found, next: next as Position, fromDisk: false };
  }

  positionOfTime(time: number): Position {
    return this.batches.find((batch) => batch.time >= time)?.firstPosition ?? this.#tail;
  }

  watch({ from }: Watched, onNews: (from: Position) => void): Watch {
    const look = (): void => {
      if (this.#tail <= from || !this.#tailListeners.has(look)) return;
      cancel();
      onNews(from);
    };
    const cancel = this.onTail(look);
    queueMicrotask(look);
    return { searched: from, cancel };
  }

  onTail(listener: () => void): () => void {
    this.#tailListeners.add(listener);
    return () => this.#tailListeners.delete(listener);
  }

  status(): NodeStatus {
    return {
      id: "a",
      leader: "a",
      leaderAddress: "127.0.0.1:7100",
      clusterId: "ab".repeat(16),
      role: "leader",
      phase: "accept",
      ballot: "1.1.1",
      head: this.#head,
      tail: this.#tail,
      acceptedEnd: 1 + this.batches.length,
      flushedEnd: 1 + this.batches.length,
      decidedEnd: 1 + this.batches.length,
      visibleEnd: 1 + this.batches.length,
      nodes: [
        { id: "a", peerAddress: "", clientAddress: "127.0.0.1:7100", connected: true, visibleEnd: 1, voter: true },
      ],
      syncs: 3,
      leaderChanges: 1,
      uptimeMs: 12,
      memoryBytes: 2 ** 40,
      hashing: "portable",
      version: "0.0.0",
      entriesAppended: this.batches.length,
      pid: process.pid,
      holds: [...this.#keeps.values()],
      logBegin: 1,
      snapshotSlot: 0,
      diskFull: false,
    };
  }
}

function unlessRefused<T>(answer: T | PaxlogError): T {
  if (answer instanceof PaxlogError) throw answer;
  return answer;
}

/** Ordinals of the records at positions within [begin, end) that match. */
function matchesOf({ batch, firstPosition }: StoredBatch, { items }: Query, [begin, end]: readonly number[]): number[] {
  return [...decodeBatch(batch)].flatMap(({ type, tags }, ordinal) => {
    const position = firstPosition + ordinal;
    const matches = items.some(
      (item) =>
        (item.types.length === 0 || (type !== undefined && item.types.includes(type))) &&
        item.tags.every((tag) => tags.includes(tag)),
    );
    return matches && position >= begin! && position < end! ? [ordinal] : [];
  });
}
