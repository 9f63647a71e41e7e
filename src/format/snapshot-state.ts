/**
 * The content of a snapshot: what the entries below its slot amount to (protocol 11). Little-endian, and the same bytes on every node
 * that has the same entries.
 *
 *   offset  size  field
 *        0     4  magic          "PSST"
 *        4     1  version        1
 *        5     3  reserved       0
 *        8     8  end            the snapshot's slot
 *       16     8  nextPosition
 *       24     8  time           of the last entry
 *       32     8  fence
 *       40     8  head.position
 *       48     8  head.slot
 *       56     8  mark.slot      of the last snapshot that was ordered; 0: none
 *       64    16  mark.rootHash  zeros: not named yet
 *       80    16  clusterId
 *       96     4  configId
 *      100     4  members, then for each: nodeId u32 | nodeUid 16 | name
 *                 holds u32, then for each: position u64 | slot u64 | expiresAt u64 | name | owner
 *                 sessions u32, then for each: id u64 | ttlMs u64 | expiresAt u64 | flags u32 | outcomes u32, then for each:
 *                   serial u64 | slot u64 | firstPosition u64 | time u64 | recordCount u32 | guard u8 | 0 u8 | index u16
 *                   and where guard is not 0: actual u64 | tail u64
 *
 * A session's flags: 1 = there were older outcomes, 2 = its end is announced. Texts are UTF-8 with their length in front, u16. The
 * window of recent types and tags is left out: how far it reaches depends on what a node has been through, and without it the log
 * itself is searched.
 */
import { assert } from "../base/assert.ts";
import { readU64, toHex, viewOf, writeHex, writeU64 } from "../base/bytes.ts";
import { firstConfigId, type Hash, type NodeId, type Position, type Slot, type Uid } from "../base/types.ts";
import type { Genesis } from "../core/durable.ts";
import type { Refusal } from "../core/guards.ts";
import type { Hold, Retained } from "../core/retained.ts";
import type { SequencerSnapshot, SessionOutcome, SessionSnapshot } from "../core/sequencer.ts";

const magic = 0x54535350;
const snapshotStateVersion = 1;
const noHash = "0".repeat(32);

/** Stored: never renumber. */
const guardNumbers: Readonly<Record<Refusal["guard"], number>> = {
  expectedTail: 1,
  fencingToken: 2,
  condition: 3,
  stream: 4,
};
/** Of a session. Stored: never renumber. */
const flags = { forgotten: 1, announceEnd: 2 } as const;
const guardOfNumber = Object.fromEntries(Object.entries(guardNumbers).map(([guard, number]) => [number, guard]));

/** Who the members are; addresses are no part of it, since each node has its own of them. */
export interface SnapshotConfiguration {
  readonly clusterId: Uid;
  readonly configId: number;
  readonly members: readonly { readonly nodeId: NodeId; readonly nodeUid: Uid; readonly name: string }[];
}

export type DecodedSnapshot =
  | { readonly kind: "ok"; readonly state: SequencerSnapshot; readonly configuration: SnapshotConfiguration }
  | { readonly kind: "malformed"; readonly reason: string };

/** The bytes of `encodeSnapshot`, made piece by piece: between two pieces others may work. Each is about `pieceBytes` long. */
export function* encodeSnapshotPieces(
  state: SequencerSnapshot,
  genesis: Genesis,
  pieceBytes: number,
): Generator<Uint8Array> {
  const writer = new Writer();
  writeHead(writer, state, genesis);
  writeHolds(writer, state.retained.holds);
  writer.u32(state.sessions.length);
  for (const session of state.sessions) {
    writeSession(writer, session);
    if (writer.length >= pieceBytes) yield writer.take();
  }
  yield writer.take();
}

/** Canonical: equal states give equal bytes. Whatever in `state` is not a function of the log is left out. */
export function encodeSnapshot(state: SequencerSnapshot, genesis: Genesis): Uint8Array {
  const [all] = encodeSnapshotPieces(state, genesis, Number.POSITIVE_INFINITY);
  assert(all !== undefined, "a snapshot has at least one piece");
  return all;
}

/** Takes any bytes; the window of the state is empty and begins at its end. */
export function decodeSnapshot(bytes: Uint8Array): DecodedSnapshot {
  try {
    const reader = new Reader(bytes);
    const head = readHead(reader);
    const holds = readMany(reader, readHold);
    const sessions = readMany(reader, readSession);
    if (reader.rest !== 0) return { kind: "malformed", reason: `${reader.rest} bytes follow its end` };
    const retained: Retained = { head: head.head, holds, snapshot: head.mark };
    const { end, nextPosition, time, fence, configuration } = head;
    const window = {
      coveredFrom: nextPosition,
      lows: new Uint32Array(0),
      highs: new Uint32Array(0),
      firsts: new Float64Array(0),
      counts: new Uint32Array(0),
    };
    return { kind: "ok", state: { end, nextPosition, time, fence, retained, sessions, window }, configuration };
  } catch (error) {
    if (error instanceof Malformed) return { kind: "malformed", reason: error.message };
    throw error;
  }
}

// ---- Parts

function writeHead(writer: Writer, state: SequencerSnapshot, { clusterId, members }: Genesis): void {
  const { head, snapshot } = state.retained;
  writer.u32(magic);
  writer.u32(snapshotStateVersion);
  for (const value of [state.end, state.nextPosition, state.time, state.fence, head.position, head.slot]) {
    writer.u64(value);
  }
  writer.u64(snapshot?.slot ?? 0);
  writer.hex(snapshot?.rootHash ?? noHash);
  writer.hex(clusterId);
  writer.u32(firstConfigId);
  writer.u32(members.length);
  for (const { nodeId, nodeUid, name } of members) {
    writer.u32(nodeId);
    writer.hex(nodeUid);
    writer.text(name);
  }
}

function readHead(reader: Reader) {
  if (reader.u32() !== magic) throw new Malformed("no snapshot begins here");
  const version = reader.u32();
  if (version !== snapshotStateVersion) throw new Malformed(`version ${version} is not known`);
  const end = reader.from(1) as Slot;
  const nextPosition = reader.from(1) as Position;
  const time = reader.u64();
  const fence = reader.u64();
  const head = { position: reader.from(1) as Position, slot: reader.from(1) as Slot };
  const markSlot = reader.u64() as Slot;
  const rootHash = reader.hex() as Hash;
  const mark = markSlot === 0 ? undefined : { slot: markSlot, rootHash: rootHash === noHash ? undefined : rootHash };
  const clusterId = reader.hex() as Uid;
  const configId = reader.u32();
  const members = readMany(reader, () => ({
    nodeId: reader.u32() as NodeId,
    nodeUid: reader.hex() as Uid,
    name: reader.text(),
  }));
  return { end, nextPosition, time, fence, head, mark, configuration: { clusterId, configId, members } };
}

function writeHolds(writer: Writer, holds: readonly Hold[]): void {
  writer.u32(holds.length);
  for (const { at, expiresAt, name, owner } of holds) {
    for (const value of [at.position, at.slot, expiresAt]) writer.u64(value);
    writer.text(name);
    writer.text(owner);
  }
}

function readHold(reader: Reader): Hold {
  const at = { position: reader.from(1) as Position, slot: reader.from(1) as Slot };
  return { at, expiresAt: reader.u64(), name: reader.text(), owner: reader.text() };
}

function writeSession(
  writer: Writer,
  { id, ttlMs, expiresAt, forgotten, announceEnd, outcomes }: SessionSnapshot,
): void {
  for (const value of [id, ttlMs, expiresAt]) writer.u64(value);
  writer.u32((forgotten ? flags.forgotten : 0) | (announceEnd ? flags.announceEnd : 0));
  writer.u32(outcomes.length);
  for (const outcome of outcomes) writeOutcome(writer, outcome);
}

function readSession(reader: Reader): SessionSnapshot {
  const [id, ttlMs, expiresAt] = [reader.from(1), reader.from(1), reader.u64()];
  const set = reader.u32();
  if ((set & ~(flags.forgotten | flags.announceEnd)) !== 0) throw new Malformed(`a session with the flags ${set}`);
  const [forgotten, announceEnd] = [(set & flags.forgotten) !== 0, (set & flags.announceEnd) !== 0];
  return { id, ttlMs, expiresAt, forgotten, announceEnd, outcomes: readMany(reader, readOutcome) };
}

function writeOutcome(writer: Writer, outcome: SessionOutcome): void {
  const { serial, slot, firstPosition, time, recordCount, refusal } = outcome;
  for (const value of [serial, slot, firstPosition, time]) writer.u64(value);
  writer.u32(recordCount);
  writer.u32(refusal === undefined ? 0 : guardNumbers[refusal.guard] + refusal.index * 0x1_0000);
  if (refusal === undefined) return;
  writer.u64(refusal.actual);
  writer.u64(refusal.tail);
}

function readOutcome(reader: Reader): SessionOutcome {
  const serial = reader.from(1);
  const slot = reader.from(1) as Slot;
  const firstPosition = reader.from(1) as Position;
  const time = reader.u64();
  const recordCount = reader.u32();
  return { serial, slot, firstPosition, time, recordCount, refusal: readRefusal(reader) };
}

function readRefusal(reader: Reader): Refusal | undefined {
  const packed = reader.u32();
  if (packed === 0) return undefined;
  const guard = guardOfNumber[packed & 0xffff] as Refusal["guard"] | undefined;
  if (guard === undefined) throw new Malformed(`a refusal by the guard ${packed & 0xffff}, which is not known`);
  return { guard, index: packed >>> 16, actual: reader.u64(), tail: reader.from(1) as Position };
}

// ---- Bytes

class Malformed extends Error {}

function readMany<T>(reader: Reader, read: (reader: Reader) => T): T[] {
  const count = reader.u32();
  const items: T[] = [];
  // Whatever the count says, no more is made than there are bytes for.
  for (let index = 0; index < count; index += 1) items.push(read(reader));
  return items;
}

/** Grows as it is needed, at most twice as large as what is in it. */
class Writer {
  #bytes = new Uint8Array(4096);
  #view = viewOf(this.#bytes);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u32(value: number): void {
    // The view is another one once there is more room.
    const at = this.#room(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number): void {
    const at = this.#room(8);
    writeU64(this.#view, at, value);
  }

  hex(value: string): void {
    const at = this.#room(16);
    writeHex(this.#bytes, at, value);
  }

  text(value: string): void {
    const bytes = Buffer.from(value, "utf8");
    const at = this.#room(2 + bytes.length);
    this.#view.setUint16(at, bytes.length, true);
    this.#bytes.set(bytes, at + 2);
  }

  /** What was written since the last call. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return taken;
  }

  #room(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length <= this.#bytes.length) return at;
    const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = viewOf(grown);
    return at;
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  get rest(): number {
    return this.#bytes.length - this.#at;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): number {
    const value = readU64(this.#view, this.#take(8));
    if (value < 0) throw new Malformed("a number is out of its range");
    return value;
  }

  /** A 64-bit number that is at least this. */
  from(least: number): number {
    const value = this.u64();
    if (value < least) throw new Malformed("a number is out of its range");
    return value;
  }

  hex(): string {
    const at = this.#take(16);
    return toHex(this.#bytes, at, at + 16);
  }

  text(): string {
    const length = this.#view.getUint16(this.#take(2), true);
    const at = this.#take(length);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + at, length).toString("utf8");
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) throw new Malformed("it ends too early");
    this.#at = at + count;
    return at;
  }
}
