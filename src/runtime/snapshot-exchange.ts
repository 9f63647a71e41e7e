import { concat } from "../base/bytes.ts";
import { PaxlogError } from "../base/errors.ts";
import type { SnapshotReference } from "../core/durable.ts";
import type { SendSnapshotEffect } from "../core/effect.ts";
import type { Event } from "../core/event.ts";
import type { Message } from "../core/message.ts";
import type { SequencerSnapshot } from "../core/sequencer.ts";
import { decodeSnapshot } from "../format/snapshot-state.ts";
import type { Commit } from "../storage/commit.ts";
import type { SnapshotFiles } from "../storage/snapshot-files.ts";

/** Snapshots on their way: from this node's disk to others, and from what storage says of them to what the core hears. */
export class SnapshotExchange {
  readonly #files: SnapshotFiles;
  #ticketTold = 0;

  constructor(files: SnapshotFiles) {
    this.#files = files;
  }

  /**
   * The chunk that was asked for, or a Meta of the newest snapshot; undefined where that is gone too, since a newer one came while the
   * effect was on its way: the peer asks again.
   */
  answer({ requestId, newest, logBegin, chunk }: SendSnapshotEffect): Message | undefined {
    if (chunk !== undefined) {
      const asked = this.#files.manifest(chunk);
      const isChunk = asked !== undefined && chunk.number < asked.manifest.chunkHashes.length;
      const bytes = isChunk ? this.#files.chunk(asked.manifest, chunk.number) : undefined;
      if (bytes !== undefined) return { kind: "snapshotChunk", requestId, chunk: chunk.number, bytes };
    }
    const stored = this.#files.manifest(newest);
    if (stored === undefined) return undefined;
    const { base } = stored.manifest;
    return {
      kind: "snapshotMeta",
      requestId,
      base,
      rootHash: newest.rootHash,
      logBegin,
      manifest: stored.bytes,
    };
  }

  /** What a commit means for the core, in order. */
  eventsOf({ ticket, snapshot, receiving, installed, logBegin }: Commit): Event[] {
    const events: Event[] = [];
    if (installed !== undefined && logBegin !== undefined) {
      events.push({ kind: "installed", ticket, snapshot: installed, logBegin, state: this.#stateOf(installed) });
      this.#ticketTold = ticket;
      return events;
    }
    // What was done in the background comes with the ticket of the commit before.
    if (ticket > this.#ticketTold) events.push({ kind: "durable", ticket });
    this.#ticketTold = ticket;
    if (snapshot !== undefined) events.push({ kind: "snapshotDurable", snapshot });
    if (logBegin !== undefined) events.push({ kind: "trimmed", logBegin });
    if (receiving !== undefined) events.push({ kind: "snapshotReceiving", receiving });
    return events;
  }

  /** Its content was verified chunk by chunk when it came, and is once more. */
  #stateOf(reference: SnapshotReference): SequencerSnapshot {
    const stored = this.#files.manifest(reference);
    const chunks = stored?.manifest.chunkHashes.map((_, number) => this.#files.chunk(stored.manifest, number));
    if (chunks === undefined || chunks.some((chunk) => chunk === undefined)) {
      throw new PaxlogError("DAMAGED", `the snapshot ${reference.slot} was installed and is not there`);
    }
    const decoded = decodeSnapshot(concat(chunks as Uint8Array[]));
    if (decoded.kind === "ok" && decoded.state.end === reference.slot) return decoded.state;
    const reason = decoded.kind === "ok" ? `its state ends at slot ${decoded.state.end}` : decoded.reason;
    throw new PaxlogError("DAMAGED", `the snapshot ${reference.slot} that was installed is none: ${reason}`);
  }
}
