import type { Random } from "./random.ts";

export const pageBytes = 4096;
export const sectorBytes = 512;
const sectorsPerPage = pageBytes / sectorBytes;
const zeroPage = new Uint8Array(pageBytes);

const slabPages = 64;

/** Pages of zeros, cut from larger pieces: a buffer of its own for each costs more than what is done with it. */
class PageMaker {
  #slab = new Uint8Array(0);
  #used = slabPages;

  make(): Uint8Array {
    if (this.#used === slabPages) {
      this.#slab = new Uint8Array(slabPages * pageBytes);
      this.#used = 0;
    }
    this.#used += 1;
    return this.#slab.subarray((this.#used - 1) * pageBytes, this.#used * pageBytes);
  }
}
const pages = new PageMaker();

/** How much of what was not synced a power cut leaves: all, nothing, or any subset of pages, some of them torn. */
export type Survival = "all" | "none" | "some";

/**
 * The content of one file: what is durable, what a reader sees now, and every version of a page that was written since the last
 * sync. A page array is never changed after it is made, so durable and visible content share what they have in common.
 */
export class SimFile {
  #pages = new Map<number, Uint8Array>();
  #durablePages = new Map<number, Uint8Array>();
  /** Versions of a page since the last sync, oldest first. The system may have written out any of them. */
  readonly #unsynced = new Map<number, Uint8Array[]>();
  #size = 0;
  #durableSize = 0;
  /** Sizes since the last sync, in order. */
  readonly #unsyncedSizes: number[] = [];

  get size(): number {
    return this.#size;
  }

  get isSynced(): boolean {
    return this.#unsynced.size === 0 && this.#unsyncedSizes.length === 0;
  }

  read(offset: number, target: Uint8Array): number {
    const length = Math.max(0, Math.min(target.length, this.#size - offset));
    for (let done = 0; done < length; ) {
      const within = (offset + done) % pageBytes;
      const count = Math.min(pageBytes - within, length - done);
      const page = this.#pages.get(Math.floor((offset + done) / pageBytes));
      if (page === undefined) target.fill(0, done, done + count);
      else target.set(page.subarray(within, within + count), done);
      done += count;
    }
    return length;
  }

  write(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const number = Math.floor((offset + done) / pageBytes);
      const within = (offset + done) % pageBytes;
      const count = Math.min(pageBytes - within, bytes.length - done);
      const page = pages.make();
      const before = count === pageBytes ? undefined : this.#pages.get(number);
      if (before !== undefined) page.set(before);
      page.set(bytes.subarray(done, done + count), within);
      this.#setPage(number, page);
      done += count;
    }
    if (offset + bytes.length > this.#size) this.#setSize(offset + bytes.length);
  }

  resize(length: number): void {
    if (length === this.#size) return;
    if (length < this.#size) {
      const within = length % pageBytes;
      for (const [number, page] of [...this.#pages]) {
        if (number * pageBytes >= length) {
          this.#setPage(number, zeroPage);
        } else if ((number + 1) * pageBytes > length) {
          const cut = new Uint8Array(pageBytes);
          cut.set(page.subarray(0, within));
          this.#setPage(number, cut);
        }
      }
    }
    this.#setSize(length);
  }

  sync(): void {
    for (const [number, versions] of this.#unsynced) {
      const page = versions[versions.length - 1]!;
      if (page === zeroPage) this.#durablePages.delete(number);
      else this.#durablePages.set(number, page);
    }
    this.#durableSize = this.#size;
    this.#unsynced.clear();
    this.#unsyncedSizes.length = 0;
  }

  /** The power fails. What is left is durable from here on: it was read back from the device. */
  crash(survival: Survival, random: Random): void {
    if (survival === "all") this.sync();
    if (survival === "some") this.#keepSome(random);
    this.#pages = new Map(this.#durablePages);
    this.#size = this.#durableSize;
    this.#unsynced.clear();
    this.#unsyncedSizes.length = 0;
  }

  #keepSome(random: Random): void {
    const sizesKept = random.between(0, this.#unsyncedSizes.length);
    const keepRate = random.pick([0.1, 0.5, 0.9, 1]);
    const tearRate = random.pick([0, 0.1, 0.5]);
    for (const [number, versions] of [...this.#unsynced].sort(([a], [b]) => a - b)) {
      if (!random.chance(keepRate)) continue;
      const before = this.#durablePages.get(number) ?? zeroPage;
      const kept = random.pick(versions);
      this.#durablePages.set(number, random.chance(tearRate) ? tear(before, kept, random) : kept);
    }
    const sizes = this.#unsyncedSizes.slice(0, sizesKept);
    if (sizes.length > 0) this.#durableSize = sizes[sizes.length - 1]!;
    this.#dropDurableFrom(Math.min(this.#durableSize, ...sizes));
  }

  /** Nothing is readable behind the end of a file, and what a kept resize cut off does not come back with a later one. */
  #dropDurableFrom(length: number): void {
    for (const [number, page] of [...this.#durablePages]) {
      if (number * pageBytes >= length) {
        this.#durablePages.delete(number);
      } else if ((number + 1) * pageBytes > length) {
        const cut = new Uint8Array(pageBytes);
        cut.set(page.subarray(0, length - number * pageBytes));
        this.#durablePages.set(number, cut);
      }
    }
  }

  #setPage(number: number, page: Uint8Array): void {
    if (page === zeroPage) this.#pages.delete(number);
    else this.#pages.set(number, page);
    const versions = this.#unsynced.get(number);
    if (versions === undefined) this.#unsynced.set(number, [page]);
    else versions.push(page);
  }

  #setSize(size: number): void {
    this.#size = size;
    this.#unsyncedSizes.push(size);
  }
}

/** A page of which the device wrote some sectors: each is old or new, and the one that was under the head may be neither. */
function tear(before: Uint8Array, after: Uint8Array, random: Random): Uint8Array {
  const page = new Uint8Array(pageBytes);
  for (let sector = 0; sector < sectorsPerPage; sector += 1) {
    const begin = sector * sectorBytes;
    const source = random.chance(0.5) ? after : before;
    page.set(source.subarray(begin, begin + sectorBytes), begin);
  }
  if (random.chance(0.25)) {
    const begin = random.below(sectorsPerPage) * sectorBytes;
    for (let i = begin; i < begin + sectorBytes; i += 1) page[i] = random.below(256);
  }
  return page;
}
