import { PaxlogError } from "../base/errors.ts";
import { firstPosition, type Position } from "../base/types.ts";
import type { Guards } from "../core/guards.ts";
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
  Watch,
  Watched,
} from "../transport/backend.ts";

/**
 * Stands between the server for clients and the engine. The server has to listen first, since the core tells its address to the
 * other nodes; calls that come before the engine runs are refused as UNAVAILABLE.
 */
export class GateBackend implements LogBackend {
  #backend: LogBackend | undefined;

  /** From now on every call goes to `backend`. */
  open(backend: LogBackend): void {
    this.#backend = backend;
  }

  append(
    batch: CheckedBatch,
    guards: Guards | undefined,
    done: (result: AppendResult) => void,
    order?: AppendOrder | undefined,
  ): void {
    if (this.#backend !== undefined) return this.#backend.append(batch, guards, done, order);
    const error = starting();
    order?.caller.failed(error, order.independent);
    queueMicrotask(() => done({ kind: "failed", error }));
  }

  openSession(terms: SessionTerms): Promise<OpenSessionResponse> {
    return this.#backend?.openSession(terms) ?? Promise.reject(starting());
  }

  keepSession(session: number): Promise<KeepSessionResponse> {
    return this.#backend?.keepSession(session) ?? Promise.reject(starting());
  }

  closeSession(session: number): Promise<void> {
    return this.#backend?.closeSession(session) ?? Promise.reject(starting());
  }

  fence(token: number): Promise<FenceResponse> {
    return this.#backend?.fence(token) ?? Promise.reject(starting());
  }

  retain<Request extends RetainRequest>(request: Request): Promise<RetainResult<Request>> {
    return this.#backend?.retain(request) ?? Promise.reject(starting());
  }

  hasRoom(): boolean {
    return this.#backend?.hasRoom() ?? true;
  }

  whenRoom(callback: () => void): void {
    if (this.#backend === undefined) queueMicrotask(callback);
    else this.#backend.whenRoom(callback);
  }

  linearize(signal?: AbortSignal): Promise<void> {
    return this.#backend?.linearize(signal) ?? Promise.reject(starting());
  }

  bounds(): { readonly head: Position; readonly tail: Position } {
    return this.#backend?.bounds() ?? { head: firstPosition, tail: firstPosition };
  }

  read(step: ReadStep): ReadPiece | Promise<ReadPiece> {
    if (this.#backend === undefined) throw starting();
    return this.#backend.read(step);
  }

  positionOfTime(time: number): Position | Promise<Position> {
    if (this.#backend === undefined) throw starting();
    return this.#backend.positionOfTime(time);
  }

  watch(watched: Watched, onNews: (from: Position) => void): Watch {
    if (this.#backend === undefined) throw starting();
    return this.#backend.watch(watched, onNews);
  }

  onTail(listener: () => void): () => void {
    return this.#backend?.onTail(listener) ?? (() => {});
  }

  status(): NodeStatus | Promise<NodeStatus> {
    if (this.#backend === undefined) throw starting();
    return this.#backend.status();
  }
}

const starting = () => new PaxlogError("UNAVAILABLE", "the node is starting; try again shortly");
