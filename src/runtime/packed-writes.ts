import { defined } from "../base/assert.ts";
import type { GroupWrite, StoreWrite } from "../storage/write.ts";
import type { Arena } from "./arena.ts";
import type { PackedGroup, PackedWrite, SubmitMessage } from "./channel.ts";

/** The slab that names the message's own buffer. */
const noSlab = 0;

/** The writes of a turn as a message. Bytes in the arena are named, all others are copied into one buffer. */
export function packWrites(writes: readonly StoreWrite[], arena: Arena): SubmitMessage {
  const outside: Uint8Array[] = [];
  let outsideBytes = 0;
  const keep = (bytes: Uint8Array): number => {
    outside.push(bytes);
    outsideBytes += bytes.length;
    return outsideBytes - bytes.length;
  };
  const packed = writes.map((write) => packWrite(write, arena, keep));
  return { kind: "submit", slabs: arena.takeUnannounced(), buffer: joined(outside, outsideBytes), writes: packed };
}

function packWrite(write: StoreWrite, arena: Arena, keep: (bytes: Uint8Array) => number): PackedWrite {
  if (!isGroup(write)) return write;
  const { bytes, ...group } = write;
  return { ...group, pieces: placesOf(bytes, arena, keep) };
}

const isGroup = (write: StoreWrite): write is GroupWrite => write.kind === "append" || write.kind === "replace";

/** Neighbours become one piece: the entries of a turn lie one behind another. */
function placesOf(bytes: GroupWrite["bytes"], arena: Arena, keep: (bytes: Uint8Array) => number): number[] {
  const pieces: number[] = [];
  for (const piece of bytes) {
    const { slab, offset } = arena.placeOf(piece) ?? { slab: noSlab, offset: keep(piece) };
    const last = pieces.length - 3;
    if (last >= 0 && pieces[last] === slab && pieces[last + 1]! + pieces[last + 2]! === offset) {
      pieces[last + 2]! += piece.length;
    } else {
      pieces.push(slab, offset, piece.length);
    }
  }
  return pieces;
}

function joined(pieces: readonly Uint8Array[], length: number): ArrayBuffer | undefined {
  if (length === 0) return undefined;
  const bytes = new Uint8Array(length);
  let end = 0;
  for (const piece of pieces) {
    bytes.set(piece, end);
    end += piece.length;
  }
  return bytes.buffer;
}

/** The other end: knows the arena's slabs, and makes the writes of a message what they were. */
export class WriteUnpacker {
  readonly #slabs = new Map<number, Uint8Array>();

  /** Over memory that must not change until the writes are durable. */
  unpack(message: SubmitMessage): StoreWrite[] {
    for (const { id, memory } of message.slabs) this.#slabs.set(id, new Uint8Array(memory));
    const own = message.buffer === undefined ? noBytes : new Uint8Array(message.buffer);
    return message.writes.map((write) => ("pieces" in write ? this.#group(write, own) : write));
  }

  #group({ pieces, ...group }: PackedGroup, own: Uint8Array): GroupWrite {
    const bytes: Uint8Array[] = [];
    for (let index = 0; index < pieces.length; index += 3) {
      const slab = pieces[index]!;
      const memory = slab === noSlab ? own : defined(this.#slabs.get(slab), `slab ${slab} of the arena`);
      const offset = pieces[index + 1]!;
      bytes.push(memory.subarray(offset, offset + pieces[index + 2]!));
    }
    return { ...group, bytes };
  }
}

const noBytes = new Uint8Array(0);
