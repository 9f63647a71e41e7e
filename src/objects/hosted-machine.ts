import { assert } from "../base/assert.ts";
import { concat } from "../base/bytes.ts";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { jsonCodec } from "../machine/json-codec.ts";
import type { AnyMachine, Codec, FrozenState, MachineChange } from "../machine/machine.ts";
import { type Applied, MachineReplica, type StateSource } from "../machine/replica.ts";
import { StateReader, StateWriter } from "../machine/state-bytes.ts";
import type { Activated } from "./activated.ts";
import { type FailureCode, type KeptReply, ReplyCache } from "./reply-cache.ts";

/** A record that concerns a machine. */
export type HostedRecord = {
  readonly position: number;
  readonly time: number;
  readonly session: number;
  /** The position behind the batch that it is of. */
  readonly batchEnd: number;
} & (
  | { readonly kind: "command"; readonly value: Uint8Array }
  /** Values that cannot be decompressed: a command nobody can read. */
  | { readonly kind: "unreadable" }
  | { readonly kind: "sessionEnd" }
);

/** Where a record led. */
export interface Carried {
  /** Records from here on are to be applied next: the next one, or an earlier one after a throw. */
  readonly resumeFrom: number;
  /** What went wrong, where something did, and not for the first time where `resumeFrom` is behind the record. */
  readonly error: PaxlogError | undefined;
}

export interface HostedChanges {
  readonly changes: readonly MachineChange[];
  /** There are no more of them. */
  readonly isAll: boolean;
}

/** A hosted state as `save` gives it: the own part behind its length, then the machine's pieces. */
export interface HostedSource extends StateSource {
  /** Of all pieces. */
  readonly length: number;
}

/** A hosted state of one moment, to be taken piece by piece. */
export interface FrozenHosted extends FrozenState {
  readonly position: number;
  /** The own part, as it stands in front of the machine's. */
  readonly own: Uint8Array;
  /** Whether commands may go on before all is taken. */
  readonly lasts: boolean;
}

/**
 * A machine as every node that runs it has it: its state, the replies that are kept for retries, and the count that says at which
 * commands states are compared. All of it is a function of the records alone.
 */
export class HostedMachine {
  readonly machine: AnyMachine;
  readonly #replica: MachineReplica<unknown, unknown, Uint8Array, unknown, unknown>;
  #cache = new ReplyCache(cacheBounds);
  /** Replies to commands without a session, for those who wait for them now: no part of the state. */
  readonly #passing = new ReplyCache({ bytes: limits.replyCacheBytes, batches: Number.POSITIVE_INFINITY });
  /** Records applied since the last point. */
  #sincePoint = 0;
  /** Length of the state at the last point but one: that of the last one is known only when all of it was saved. */
  #pointBytes = 0;
  /** ... and at the last point; undefined: it is being saved. */
  #lastPointBytes: number | undefined = 0;
  /** The own part of what the replica goes back to, and the length of all of that. */
  #base: { readonly own: Uint8Array; readonly length: number } | undefined;
  #isPristine = true;
  #activated: Activated | undefined;
  /** Whether the code that made the state is told of the ends of sessions. */
  #hearsEnds: boolean;

  /**
   * `before` applies commands from before the first activation, where a machine has code then.
   * @throws PaxlogError FORMAT_UNKNOWN, RangeError or what the machine's `load` throws, for a state that cannot be read.
   */
  constructor(machine: AnyMachine, source?: HostedSource, before?: AnyMachine["apply"]) {
    this.machine = machine;
    this.#hearsEnds = machine.ended !== undefined;
    const replying = replyingMachine(machine, () => (this.#activated === undefined ? before : undefined));
    const onBack = (): void => this.settle();
    if (source === undefined) {
      this.#replica = new MachineReplica(replying, undefined, onBack);
      return;
    }
    const own = ownPart(source.pieces);
    this.#replica = new MachineReplica(replying, machinePart(source, own), onBack);
    this.#base = { own, length: source.length };
    this.#restoreOwn();
    this.#isPristine = false;
  }

  /** Called before the state goes back, or its count begins anew: whoever saves it ends that first, and has it be the base. */
  settle: () => void = () => {};

  /** Every record below it is applied. */
  get position(): number {
    return this.#replica.position;
  }

  /** Whether nothing was ever applied: its state can be had without any snapshot. */
  get isPristine(): boolean {
    return this.#isPristine;
  }

  /** No record between here and this position concerns the machine. */
  advance(position: number): void {
    if (position > this.#replica.position) this.#replica.pass(position - 1);
  }

  /** The state is to be compared and saved now: the same after the same record on every node. */
  get isAtPoint(): boolean {
    return (
      this.#sincePoint >= Math.max(limits.machinePointCommands, this.#pointBytes / limits.machinePointBytesPerCommand)
    );
  }

  apply(record: HostedRecord): Carried {
    const { position, session, batchEnd } = record;
    this.#isPristine = false;
    const applied = this.#carryOut(record);
    if (applied.kind === "failed" && applied.resumeFrom <= position) {
      this.#restoreOwn();
      this.#passing.forgetFrom(applied.resumeFrom);
      return { resumeFrom: applied.resumeFrom, error: applied.error };
    }
    this.#sincePoint += 1;
    if (record.kind === "sessionEnd") {
      this.#cache.endSession(session);
    } else {
      const cache = session === 0 ? this.#passing : this.#cache;
      cache.begin(session, batchEnd);
      cache.add(position, keptOf(applied));
    }
    // The replica took its state behind a command that it passed over as its new base.
    if (applied.kind === "failed") this.#base = { own: this.#own(), length: 0 };
    return { resumeFrom: position + 1, error: applied.kind === "reply" ? undefined : applied.error };
  }

  #carryOut(record: HostedRecord): Applied<Uint8Array | undefined> {
    const { position, time, session } = record;
    switch (record.kind) {
      case "command":
        return this.#replica.apply({ position, time, session, value: record.value });
      case "unreadable": {
        const message = `the record at ${position} cannot be decompressed`;
        this.#replica.pass(position);
        return { kind: "malformed", error: new PaxlogError("COMMAND_MALFORMED", message, { facts: { position } }) };
      }
      case "sessionEnd": {
        const ended = this.#replica.end({ position, time, session });
        return ended.kind === "reply" ? { kind: "reply", reply: undefined } : ended;
      }
    }
  }

  /** The version and code that the log says the machine is of; undefined: it never said so. */
  get activated(): Activated | undefined {
    return this.#activated;
  }

  /** Whether what it is told of the ends of sessions is in its state. */
  get hearsEnds(): boolean {
    return this.#hearsEnds;
  }

  /** A record says what the machine is of from here on. What is not newer than what was activated before is passed over. */
  activate(position: number, activated: Activated): void {
    this.advance(position + 1);
    if (activated.version <= (this.#activated?.version ?? 0)) return;
    this.settle();
    this.#activated = { version: activated.version, code: activated.code };
    this.#hearsEnds = this.machine.ended !== undefined;
    this.#isPristine = false;
    // States of two versions may differ in length, and the next point must not.
    this.#sincePoint = 0;
    this.#pointBytes = 0;
    this.#lastPointBytes = 0;
  }

  /** undefined where it is not kept, or no longer. */
  replyAt(position: number): KeptReply | undefined {
    return this.#cache.at(position) ?? this.#passing.at(position);
  }

  /** @throws PaxlogError MACHINE_FAILED, INVALID_ARGUMENT for bytes that are no question, REPLY_TOO_LARGE. */
  ask(question: Uint8Array): Uint8Array {
    const answer = this.#replica.ask(this.#question(question));
    const { name, codecs } = this.machine;
    const bytes = ((codecs?.answers ?? jsonCodec) as Codec<unknown>).encode(answer ?? null);
    if (bytes.length <= limits.answerBytesMax) return bytes;
    const facts = { machine: name, limit: limits.answerBytesMax, size: bytes.length };
    throw new PaxlogError("REPLY_TOO_LARGE", `the answer has ${bytes.length} bytes: ask for less at once`, { facts });
  }

  /**
   * Changes from a position on, oldest first: about `max` at most, but all of a record's or none. undefined: the machine does not
   * remember so far back. @throws PaxlogError as `ask`.
   */
  changes(question: Uint8Array, from: number, max: number): HostedChanges | undefined {
    const asked = this.#question(question);
    for (let count = max; ; count *= 2) {
      const changes = this.#replica.changes(asked, from, count);
      if (changes === undefined) return undefined;
      if (changes.length < count) return { changes, isAll: true };
      const last = changes.at(-1)!.position;
      const whole = changes.filter(({ position }) => position < last);
      if (whole.length > 0) return { changes: whole, isAll: false };
    }
  }

  #question(bytes: Uint8Array): unknown {
    try {
      return ((this.machine.codecs?.questions ?? jsonCodec) as Codec<unknown>).decode(bytes);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `the bytes are no question of the machine ${this.machine.name}: ${reason}`;
      throw new PaxlogError("INVALID_ARGUMENT", message, { cause, facts: { machine: this.machine.name } });
    }
  }

  /** The state is that of a point, and is saved next. The one before is saved to its end. */
  beginPoint(): void {
    assert(this.#lastPointBytes !== undefined, "points are saved one after the other");
    this.#sincePoint = 0;
    this.#pointBytes = this.#lastPointBytes;
    this.#lastPointBytes = undefined;
  }

  /** What the state at the last point takes. */
  endPoint(length: number): void {
    this.#lastPointBytes = length;
  }

  /** The state of now, with what a node keeps beside it. */
  freeze(): FrozenHosted {
    const own = this.#own();
    const frozen = this.#replica.freeze();
    const pieces = function* (machines: Iterable<Uint8Array>): Iterable<Uint8Array> {
      const head = new Uint8Array(lengthBytes);
      new DataView(head.buffer).setUint32(0, own.length, true);
      yield head;
      yield own;
      yield* machines;
    };
    return {
      position: this.position,
      own,
      lasts: frozen !== undefined,
      pieces: pieces(frozen?.pieces ?? this.#replica.save()),
      release: () => frozen?.release(),
    };
  }

  /** Has commands that throw lead back to what was frozen, which can be read from there any number of times. */
  rebase(source: HostedSource, own: Uint8Array): void {
    this.#replica.rebase(machinePart(source, own));
    this.#base = { own, length: source.length };
  }

  #own(): Uint8Array {
    const writer = new StateWriter();
    writer.number(this.#sincePoint);
    writer.number(this.#pointBytes);
    // 0: the state that this is a part of is that of the last point itself.
    writer.number(this.#lastPointBytes === undefined ? 0 : 1 + this.#lastPointBytes);
    writer.number(this.#activated?.version ?? 0);
    writer.text(this.#activated?.code ?? "");
    writer.number(this.#hearsEnds ? 1 : 0);
    this.#cache.save(writer);
    return concat(writer.rest());
  }

  #restoreOwn(): void {
    if (this.#base === undefined) {
      this.#cache = new ReplyCache(cacheBounds);
      this.#sincePoint = 0;
      this.#pointBytes = 0;
      this.#lastPointBytes = 0;
      this.#activated = undefined;
      this.#hearsEnds = this.machine.ended !== undefined;
      return;
    }
    const reader = new StateReader([this.#base.own]);
    this.#sincePoint = reader.number();
    this.#pointBytes = reader.number();
    const last = reader.number();
    this.#lastPointBytes = last === 0 ? this.#base.length : last - 1;
    const version = reader.number();
    const code = reader.text();
    this.#activated = version === 0 ? undefined : { version, code };
    this.#hearsEnds = reader.number() === 1;
    this.#cache = ReplyCache.load(reader, cacheBounds);
    reader.end();
  }
}

const cacheBounds = { bytes: limits.replyCacheBytes, batches: limits.sessionWindow };

/** The machine with its replies as bytes, and too large ones as a throw: nothing of such a command is done. */
function replyingMachine(machine: AnyMachine, instead: () => AnyMachine["apply"] | undefined): AnyMachine {
  const codec = (machine.codecs?.replies ?? jsonCodec) as Codec<unknown>;
  const apply: AnyMachine["apply"] = (state, command, at) => {
    const other = instead();
    const reply: unknown = other === undefined ? machine.apply(state, command, at) : other(state, command, at);
    if (typeof reply === "object" && reply !== null && "then" in reply && typeof reply.then === "function")
      return reply;
    const bytes = codec.encode(reply ?? null);
    if (bytes.length <= limits.replyBytesMax) return bytes;
    const facts = { machine: machine.name, limit: limits.replyBytesMax, size: bytes.length };
    throw new PaxlogError("REPLY_TOO_LARGE", `the reply has ${bytes.length} bytes`, { facts });
  };
  // Its other functions stay what they are, wherever they are defined.
  return Object.create(machine, { apply: { value: apply } }) as AnyMachine;
}

function keptOf(applied: Applied<Uint8Array | undefined>): KeptReply {
  if (applied.kind === "reply") return applied.reply ?? new Uint8Array(0);
  return failureCodeOf(applied.error);
}

/** Of a reply that is too large the replica says that the machine threw. */
function failureCodeOf({ code, cause }: PaxlogError): FailureCode {
  if (code === "COMMAND_MALFORMED") return code;
  return cause instanceof PaxlogError && cause.code === "REPLY_TOO_LARGE" ? cause.code : "MACHINE_FAILED";
}

const lengthBytes = 4;

/** The own part of a hosted state, copied. @throws RangeError where the state ends before it. */
function ownPart(pieces: Iterable<Uint8Array>): Uint8Array {
  const gathered: Uint8Array[] = [];
  let have = 0;
  let needed = lengthBytes;
  for (const piece of pieces) {
    gathered.push(Uint8Array.from(piece));
    have += piece.length;
    if (have < lengthBytes) continue;
    const bytes = concat(gathered.splice(0));
    gathered.push(bytes);
    needed = lengthBytes + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    if (have >= needed) return bytes.slice(lengthBytes, needed);
  }
  throw new RangeError(`the state has ${have} bytes, not the ${needed} that it begins with`);
}

/** The machine's part. It is read anew each time it is iterated. */
function machinePart({ name, version, position, pieces }: HostedSource, own: Uint8Array): StateSource {
  const skip = lengthBytes + own.length;
  return { name, version, position, pieces: { [Symbol.iterator]: () => skipping(pieces, skip) } };
}

function* skipping(pieces: Iterable<Uint8Array>, count: number): Iterator<Uint8Array> {
  let left = count;
  for (const piece of pieces) {
    const skipped = Math.min(left, piece.length);
    left -= skipped;
    if (skipped < piece.length) yield piece.subarray(skipped);
  }
  assert(left === 0, "a state has what stands in front of it");
}
