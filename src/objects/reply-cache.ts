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

/**
 * The replies to the commands of one batch: their bytes stand one behind the other in one buffer, for an array of bytes of its own costs
 * several times what a short reply has.
 */
interface KeptBatch {
  readonly session: number;
  /** Ascending. */
  readonly positions: number[];
  /** Of each command where its reply ends in `data`: it begins where the one before ends. */
  readonly ends: number[];
  /** Of commands that failed, by their index; nothing of them stands in `data`. */
  readonly failures: Map<number, FailureCode>;
  data: Uint8Array;
  length: number;
  /** What it counts. */
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
  readonly #bySession = new Map<number, KeptBatch[]>();
  /** In order of position, without overlap; those before #oldest are let go of. Each has a position at least. */
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
    const batch = this.#batchOf(position);
    if (batch === undefined || batch.gone) return undefined;
    const index = firstFrom(batch.positions, position);
    return batch.positions[index] === position ? replyOf(batch, index) : undefined;
  }

  /** What follows until `end` is of one batch in the log. Positions of batches ascend. */
  begin(session: number, end: number): void {
    if (this.#openEnd === end && this.#open !== undefined && this.#open.session === session) return;
    this.#open = {
      session,
      positions: [],
      ends: [],
      failures: new Map(),
      data: none,
      length: 0,
      bytes: 0,
      gone: false,
    };
    this.#openEnd = end;
  }

  /** Of the batch that was begun, behind all before it. The reply is copied. */
  add(position: number, reply: KeptReply): void {
    const batch = this.#open!;
    if (batch.positions.length === 0) this.#keep(batch);
    batch.positions.push(position);
    let bytes = replyOverheadBytes;
    if (typeof reply === "string") {
      batch.failures.set(batch.ends.length, reply);
    } else {
      append(batch, reply);
      bytes += reply.length;
    }
    batch.ends.push(batch.length);
    this.#count(batch, bytes);
  }

  /** Nobody asks for them any more. */
  endSession(session: number): void {
    for (const batch of this.#bySession.get(session) ?? []) this.#forget(batch);
    this.#bySession.delete(session);
    // What comes behind the end in the same batch begins anew: nothing may be added to what is gone.
    if (this.#open?.gone === true) this.#open = undefined;
  }

  save(writer: StateWriter): void {
    const kept = this.#batches.slice(this.#oldest).filter(({ gone }) => !gone);
    writer.number(kept.length);
    for (const { session, positions, ends, failures, data, length } of kept) {
      writer.number(session);
      writer.number(positions.length);
      let behind = 0;
      let begin = 0;
      for (let index = 0; index < positions.length; index += 1) {
        const position = positions[index]!;
        writer.number(position - behind);
        behind = position + 1;
        const failure = failures.get(index);
        const end = ends[index]!;
        writer.number(failure === undefined ? failureCodes.length + end - begin : failureCodes.indexOf(failure));
        begin = end;
      }
      writer.bytes(data.subarray(0, length));
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
      cache.#fill(cache.#open!, reader);
    }
    cache.#openEnd = reader.number();
    if (cache.#openEnd === 0) cache.#open = undefined;
    return cache;
  }

  /** All replies of a batch at once: a start reads some hundred thousand of them. */
  #fill(batch: KeptBatch, reader: StateReader): void {
    const { positions, ends, failures } = batch;
    let behind = 0;
    let end = 0;
    for (let left = reader.number(); left > 0; left -= 1) {
      const position = behind + reader.number();
      behind = position + 1;
      const kind = reader.number();
      const failure = failureCodes[kind];
      if (failure === undefined) end += kind - failureCodes.length;
      else failures.set(ends.length, failure);
      positions.push(position);
      ends.push(end);
    }
    batch.data = Uint8Array.from(reader.bytes());
    batch.length = end;
    if (end !== batch.data.length) throw new RangeError(`replies of ${end} bytes, not ${batch.data.length}`);
    if (positions.length === 0) return;
    this.#keep(batch);
    this.#count(batch, positions.length * replyOverheadBytes + end);
  }

  #count(batch: KeptBatch, bytes: number): void {
    batch.bytes += bytes;
    this.#bytes += bytes;
    while (this.#bytes > this.#bounds.bytes && this.#batches[this.#oldest] !== batch) this.#forgetOldest();
  }

  /** Those from a position on are forgotten: their commands are carried out again. */
  forgetFrom(position: number): void {
    this.#open = undefined;
    for (let index = this.#batches.length - 1; index >= this.#oldest; index -= 1) {
      const batch = this.#batches[index]!;
      if (batch.positions.at(-1)! < position) return;
      if (batch.positions[0]! < position) {
        this.#cut(batch, firstFrom(batch.positions, position));
        return;
      }
      if (!batch.gone) this.#forget(batch);
      this.#batches.pop();
    }
  }

  /** Of a batch the first `count` replies are left. */
  #cut(batch: KeptBatch, count: number): void {
    const length = batch.ends[count - 1]!;
    const bytes = (batch.positions.length - count) * replyOverheadBytes + batch.length - length;
    for (let index = count; index < batch.positions.length; index += 1) batch.failures.delete(index);
    batch.positions.length = count;
    batch.ends.length = count;
    batch.length = length;
    if (batch.gone) return;
    batch.bytes -= bytes;
    this.#bytes -= bytes;
  }

  /** The first batch that ends at the position or behind it, if there is one. */
  #batchOf(position: number): KeptBatch | undefined {
    let [low, high] = [this.#oldest, this.#batches.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#batches[middle]!.positions.at(-1)! < position) low = middle + 1;
      else high = middle;
    }
    return this.#batches[low];
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

  /** Its positions stay for the order of the others, which #forgetOldest lets go of. */
  #forget(batch: KeptBatch): void {
    batch.gone = true;
    batch.data = none;
    this.#bytes -= batch.bytes;
  }
}

const none = new Uint8Array(0);

function append(batch: KeptBatch, reply: Uint8Array): void {
  const length = batch.length + reply.length;
  if (length > batch.data.length) {
    const grown = new Uint8Array(Math.max(64, length, 2 * batch.data.length));
    grown.set(batch.data.subarray(0, batch.length));
    batch.data = grown;
  }
  batch.data.set(reply, batch.length);
  batch.length = length;
}

function replyOf({ data, ends, failures }: KeptBatch, index: number): KeptReply {
  return failures.get(index) ?? data.subarray(index === 0 ? 0 : ends[index - 1]!, ends[index]!);
}

/** Index of the first of ascending numbers that is at least `wanted`. */
function firstFrom(ascending: readonly number[], wanted: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
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
