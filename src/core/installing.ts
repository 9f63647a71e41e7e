import type { NodeId } from "../base/types.ts";
import type { Context } from "./context.ts";
import type { SnapshotReceivingEvent } from "./event.ts";
import type { SnapshotChunkMessage, SnapshotMetaMessage } from "./message.ts";

/** Rounds without progress after which a chunk is asked for again, and after which the sender is given up. */
const askAgainRounds = 2;
const idleRoundsMax = 10;

interface Download {
  readonly from: NodeId;
  readonly meta: SnapshotMetaMessage;
  /** The chunk that is asked for; undefined while the disk has its turn. */
  asked: { readonly requestId: number; readonly chunk: number } | undefined;
  idleRounds: number;
}

/**
 * Fetches another node's snapshot where the entries that this one lacks are gone (docs/protocol.md, section 11): chunk by chunk, each
 * durable before the next is asked for, so that a restart goes on where it was. The log is not touched before all are there.
 */
export class Installing {
  readonly #ctx: Context;
  /** The snapshot is whole here: it may take the place of the log. */
  readonly #onWhole: (meta: SnapshotMetaMessage) => void;
  #download: Download | undefined;

  constructor(ctx: Context, onWhole: (meta: SnapshotMetaMessage) => void) {
    this.#ctx = ctx;
    this.#onWhole = onWhole;
  }

  get isActive(): boolean {
    return this.#download !== undefined;
  }

  /** Whether a Meta is the answer to what this download last asked: its sender has another snapshot by now. */
  awaits(from: NodeId, requestId: number): boolean {
    return this.#download?.from === from && this.#download.asked?.requestId === requestId;
  }

  begin(from: NodeId, meta: SnapshotMetaMessage): void {
    this.#download = { from, meta, asked: undefined, idleRounds: 0 };
    this.#ctx.effects.push({ kind: "receiveSnapshot", manifest: meta.manifest, chunk: undefined });
  }

  abandon(): void {
    this.#download = undefined;
  }

  /** So many chunks are durable. */
  onReceiving({ receiving }: SnapshotReceivingEvent): void {
    const download = this.#download;
    if (download === undefined || download.meta.rootHash !== receiving.rootHash) return;
    download.idleRounds = 0;
    if (receiving.chunksDurable < receiving.chunkCount) return this.#ask(download, receiving.chunksDurable);
    this.#download = undefined;
    this.#onWhole(download.meta);
  }

  onChunk(from: NodeId, message: SnapshotChunkMessage): void {
    const download = this.#download;
    if (download === undefined || !this.awaits(from, message.requestId)) return;
    if (message.chunk !== download.asked?.chunk) return;
    const { chunk: number, bytes } = message;
    download.asked = undefined;
    download.idleRounds = 0;
    const { manifest } = download.meta;
    this.#ctx.effects.push({ kind: "receiveSnapshot", manifest, chunk: { number, bytes } });
  }

  onRound(): void {
    const download = this.#download;
    if (download === undefined) return;
    if (this.#ctx.role === "leader") return this.abandon();
    download.idleRounds += 1;
    if (download.idleRounds > idleRoundsMax) this.abandon();
    else if (download.asked !== undefined && download.idleRounds % askAgainRounds === 0) {
      this.#ask(download, download.asked.chunk);
    }
  }

  #ask(download: Download, chunk: number): void {
    const { slot } = download.meta.base;
    const { rootHash } = download.meta;
    const requestId = this.#ctx.nextRequestId();
    download.asked = { requestId, chunk };
    this.#ctx.send(download.from, { kind: "snapshotFetch", requestId, slot, rootHash, chunk });
  }
}
