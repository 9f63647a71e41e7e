import { limits } from "../base/limits.ts";
import type { Slot } from "../base/types.ts";
import type { EntryMemory } from "../format/entry.ts";

/** A piece of shared memory that entries are laid into, one after another. */
interface Slab {
  /** From 1, never used twice. */
  readonly id: number;
  readonly bytes: Uint8Array;
  used: number;
  /** Largest slot that anything in it belongs to. */
  lastSlot: number;
  /** Times that `reclaim` found that the log in memory begins behind it. */
  restedTicks: number;
}

/** A slab's memory, once it exists, under the number that places name it by. */
export interface ArenaMemory {
  readonly id: number;
  readonly memory: SharedArrayBuffer;
}

/** Where bytes of the arena lie, as the storage thread finds them. */
export interface ArenaPlace {
  readonly slab: number;
  readonly offset: number;
}

export interface ArenaOptions {
  readonly slabBytes?: number;
  readonly slabsMax?: number;
  /** Overwrites what is given back, so that whoever still reads it finds no sound entry there. For tests. */
  readonly scrub?: boolean;
}

/**
 * The memory of entries, shared with the storage thread: an entry's bytes are written here once, when the leader makes it or a
 * follower takes it from a message, and core, disk and peers use them where they lie. Slabs are filled one after another and used
 * again, so that a node at full load makes no garbage of its entries.
 *
 * A slab is used again once the core's log in memory begins behind every slot in it, and two ticks have passed since. That is
 * enough: the log drops only what is visible, which is decided and durable here, so storage is done with it; peers and readers
 * are given copies within the turn that asks for them. What is no part of the log by then never will be (its slots are taken).
 *
 * The number of slabs is bounded. Beyond it entries get memory of their own, which is counted, and copied for storage.
 */
export class Arena implements EntryMemory {
  readonly #slabBytes: number;
  readonly #slabsMax: number;
  readonly #scrub: boolean;
  #open: Slab | undefined;
  /** Filled, oldest first. */
  #full: Slab[] = [];
  #free: Slab[] = [];
  #lastId = 0;
  /** All of them, by their memory. */
  readonly #slabs = new Map<ArrayBufferLike, Slab>();
  /** Made since the storage thread was told last. */
  #unannounced: ArenaMemory[] = [];
  #overflowBytes = 0;

  constructor(options: ArenaOptions = {}) {
    this.#slabBytes = options.slabBytes ?? limits.arenaSlabBytes;
    this.#slabsMax = options.slabsMax ?? limits.arenaSlabsMax;
    this.#scrub = options.scrub ?? false;
  }

  /** `overflowBytes`: taken outside of slabs so far. */
  get counts(): { readonly slabs: number; readonly free: number; readonly overflowBytes: number } {
    return { slabs: this.#lastId, free: this.#free.length, overflowBytes: this.#overflowBytes };
  }

  take(length: number): Uint8Array {
    const slab = this.#slabFor(length);
    if (slab === undefined) {
      this.#overflowBytes += length;
      return new Uint8Array(length);
    }
    const bytes = slab.bytes.subarray(slab.used, slab.used + length);
    slab.used += length;
    return bytes;
  }

  hold(bytes: Uint8Array, lastSlot: Slot): void {
    const slab = this.#slabs.get(bytes.buffer);
    if (slab !== undefined) slab.lastSlot = Math.max(slab.lastSlot, lastSlot);
  }

  copyOf(source: Uint8Array): Uint8Array {
    const slab = this.#slabFor(source.length + copyAlignment);
    // Between plain and shared memory only copies that are aligned alike go by words; others take eight times as long.
    if (slab !== undefined) slab.used += (source.byteOffset - slab.used) & (copyAlignment - 1);
    const bytes = this.take(source.length);
    bytes.set(source);
    return bytes;
  }

  /** Where these bytes lie; undefined for bytes of other memory. */
  placeOf(bytes: Uint8Array): ArenaPlace | undefined {
    const slab = this.#slabs.get(bytes.buffer);
    return slab === undefined ? undefined : { slab: slab.id, offset: bytes.byteOffset };
  }

  /** The memory of slabs that the storage thread was not told of yet: to be sent before the first place in it. */
  takeUnannounced(): ArenaMemory[] {
    const unannounced = this.#unannounced;
    this.#unannounced = [];
    return unannounced;
  }

  /** Called once a tick with the first slot that the core holds in memory. */
  reclaim(memoryBegin: Slot): void {
    const full: Slab[] = [];
    for (const slab of this.#full) {
      if (slab.lastSlot < memoryBegin) slab.restedTicks += 1;
      if (slab.restedTicks >= restTicks) this.#giveBack(slab);
      else full.push(slab);
    }
    this.#full = full;
  }

  #giveBack(slab: Slab): void {
    if (this.#scrub) slab.bytes.fill(0xdd);
    slab.used = 0;
    slab.lastSlot = 0;
    slab.restedTicks = 0;
    this.#free.push(slab);
  }

  /** The open slab, or the next one, if it has room for this much. */
  #slabFor(length: number): Slab | undefined {
    if (length > this.#slabBytes) return undefined;
    if (this.#open !== undefined && this.#open.used + length <= this.#slabBytes) return this.#open;
    const next = this.#free.pop() ?? this.#makeSlab();
    if (next === undefined) return undefined;
    if (this.#open !== undefined) this.#full.push(this.#open);
    this.#open = next;
    return next;
  }

  #makeSlab(): Slab | undefined {
    if (this.#lastId >= this.#slabsMax) return undefined;
    this.#lastId += 1;
    const memory = new SharedArrayBuffer(this.#slabBytes);
    const slab = { id: this.#lastId, bytes: new Uint8Array(memory), used: 0, lastSlot: 0, restedTicks: 0 };
    this.#slabs.set(memory, slab);
    this.#unannounced.push({ id: this.#lastId, memory });
    return slab;
  }
}

/** Whoever was given a view in one turn is done with it long before the second tick after it. */
const restTicks = 2;
const copyAlignment = 8;
