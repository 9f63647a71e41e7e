import { PaxlogError } from "../base/errors.ts";
import type { CommandReply } from "../format/object-codec.ts";
import type { StateReader, StateWriter } from "../machine/state-bytes.ts";

/** How a command failed. Kept by its code alone: what an engine says in an exception is not the same on every replica. */
const failureCodes = ["COMMAND_MALFORMED", "MACHINE_FAILED", "REPLY_TOO_LARGE"] as const;
export type FailureCode = (typeof failureCodes)[number];

/** What became of a command. */
export type KeptReply = Uint8Array | FailureCode;

export interface ReplyCacheBounds {
  /** Of all that is kept, with what surrounds it. */
  readonly bytes: number;
  /** Batches of one session. */
  readonly batches: number;
}

/** The replies to the commands of one batch. */
interface KeptBatch {
  readonly session: number;
  /** Ascending, with `replies` beside them. */
  readonly positions: number[];
  readonly replies: KeptReply[];
  bytes: number;
  gone: boolean;
}

const replyOverheadBytes = 64;
const batchOverheadBytes = 128;

/**
 * The replies to the last commands, so that a retry has the reply of its first attempt: by session, of its last batches, and of all
 * sessions as much as fits, oldest out first. What is kept is a function of the commands, so it is the same on every replica.
 */
export class ReplyCache {
  readonly #bounds: ReplyCacheBounds;
  readonly #replies = new Map<number, KeptReply>();
  readonly #bySession = new Map<number, KeptBatch[]>();
  /** In order of position; those before #oldest are let go of. */
  #batches: KeptBatch[] = [];
  #oldest = 0;
  #bytes = 0;
  /** The one that is being added to, and the position behind the batch that it is of. */
  #open: KeptBatch | undefined;
  #openEnd = 0;

  constructor(bounds: ReplyCacheBounds) {
    this.#bounds = bounds;
  }

  /** undefined where it is not kept, or no longer. */
  at(position: number): KeptReply | undefined {
    return this.#replies.get(position);
  }

  /** What follows until `end` is of one batch in the log. Positions of batches ascend. */
  begin(session: number, end: number): void {
    if (this.#open !== undefined && this.#open.session === session && this.#openEnd === end) return;
    this.#open = { session, positions: [], replies: [], bytes: 0, gone: false };
    this.#openEnd = end;
  }

  /** Of the batch that was begun. */
  add(position: number, reply: KeptReply): void {
    const batch = this.#open!;
    if (batch.positions.length === 0) this.#keep(batch);
    batch.positions.push(position);
    batch.replies.push(reply);
    const bytes = replyOverheadBytes + (typeof reply === "string" ? 0 : reply.length);
    batch.bytes += bytes;
    this.#bytes += bytes;
    this.#replies.set(position, reply);
    while (this.#bytes > this.#bounds.bytes && this.#batches[this.#oldest] !== batch) this.#forgetOldest();
  }

  /** Nobody asks for them any more. */
  endSession(session: number): void {
    for (const batch of this.#bySession.get(session) ?? []) this.#forget(batch);
    this.#bySession.delete(session);
  }

  save(writer: StateWriter): void {
    const kept = this.#batches.slice(this.#oldest).filter(({ gone }) => !gone);
    writer.number(kept.length);
    for (const { session, positions, replies } of kept) {
      writer.number(session);
      writer.number(positions.length);
      positions.forEach((position, index) => {
        writer.number(position);
        const reply = replies[index]!;
        writer.number(typeof reply === "string" ? 1 + failureCodes.indexOf(reply) : 0);
        if (typeof reply !== "string") writer.bytes(reply);
      });
    }
    // A snapshot may be taken inside of a batch: what is added later joins it.
    const joins = this.#open !== undefined && this.#open === kept.at(-1);
    writer.number(joins ? this.#openEnd : 0);
  }

  /** @throws RangeError for bytes that `save` did not write. */
  static load(reader: StateReader, bounds: ReplyCacheBounds): ReplyCache {
    const cache = new ReplyCache(bounds);
    for (let batches = reader.number(); batches > 0; batches -= 1) {
      cache.#open = undefined;
      cache.begin(reader.number(), 1);
      for (let count = reader.number(); count > 0; count -= 1) {
        const position = reader.number();
        const kind = reader.number();
        const code = failureCodes[kind - 1];
        if (kind > 0 && code === undefined) throw new RangeError(`a reply of kind ${kind}`);
        // A copy: a view would keep the whole snapshot in memory.
        cache.add(position, code ?? Uint8Array.from(reader.bytes()));
      }
    }
    cache.#openEnd = reader.number();
    if (cache.#openEnd === 0) cache.#open = undefined;
    return cache;
  }

  #keep(batch: KeptBatch): void {
    batch.bytes = batchOverheadBytes;
    this.#bytes += batchOverheadBytes;
    this.#batches.push(batch);
    if (this.#bounds.batches === Number.POSITIVE_INFINITY) return;
    const ofSession = this.#bySession.get(batch.session);
    if (ofSession === undefined) {
      this.#bySession.set(batch.session, [batch]);
      return;
    }
    ofSession.push(batch);
    if (ofSession.length > this.#bounds.batches) this.#forget(ofSession.shift()!);
  }

  #forgetOldest(): void {
    const batch = this.#batches[this.#oldest]!;
    this.#oldest += 1;
    if (this.#oldest > 1024 && 2 * this.#oldest > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#oldest);
      this.#oldest = 0;
    }
    if (batch.gone) return;
    this.#forget(batch);
    const ofSession = this.#bySession.get(batch.session);
    if (ofSession?.[0] !== batch) return;
    ofSession.shift();
    if (ofSession.length === 0) this.#bySession.delete(batch.session);
  }

  #forget(batch: KeptBatch): void {
    batch.gone = true;
    this.#bytes -= batch.bytes;
    for (const position of batch.positions) this.#replies.delete(position);
  }
}

/** The reply as it is told. */
export function commandReplyOf(machine: string, position: number, reply: KeptReply | undefined): CommandReply {
  if (reply === undefined)
    return failed(machine, position, "REPLY_GONE", "was done, and its reply is not kept any more");
  if (typeof reply !== "string") return { kind: "reply", reply };
  return failed(machine, position, reply, `was passed over by every replica: ${failureTexts[reply]}`);
}

const failureTexts: Readonly<Record<FailureCode, string>> = {
  COMMAND_MALFORMED: "it is no command of the machine",
  MACHINE_FAILED: "the machine threw; mend it under a new version. The nodes' notes say what it threw",
  REPLY_TOO_LARGE: "its reply would be larger than replies may be; ask for less at once",
};

function failed(machine: string, position: number, code: FailureCode | "REPLY_GONE", what: string): CommandReply {
  const message = `the command at ${position} of the machine ${machine} ${what}`;
  return { kind: "failed", error: new PaxlogError(code, message, { facts: { machine, position } }) };
}
