import type { Hashing } from "../base/hashing.ts";
import type { SnapshotHeader } from "../format/object-codec.ts";
import type { FrozenHosted } from "./hosted-machine.ts";
import type { SnapshotFile, WrittenSnapshot } from "./machine-snapshots.ts";
import { HashedPieces } from "./state-hash.ts";

export interface StateSaveParts {
  readonly frozen: FrozenHosted;
  readonly hashing: Hashing;
  /** Where it is written; without one it is only hashed. */
  readonly file: SnapshotFile | undefined;
  /** The file did not take it. It is hashed to its end all the same. */
  readonly onFailed: (cause: unknown) => void;
}

/** A whole state: what its bytes are, and where they stand if they were written. */
export interface SavedState {
  readonly header: Pick<SnapshotHeader, "hash" | "length">;
  readonly written: WrittenSnapshot | undefined;
}

/**
 * A frozen state on its way to its hash and its file: some of it at a time, as its owner likes. What commands do between two times
 * changes nothing of it, which is for the machine's `freeze` to hold.
 */
export class StateSave {
  readonly position: number;
  readonly own: Uint8Array;
  readonly #parts: StateSaveParts;
  readonly #pieces: Iterator<Uint8Array>;
  readonly #hashed: HashedPieces;
  #file: SnapshotFile | undefined;
  /** What it took so far. */
  spentMs = 0;

  constructor(parts: StateSaveParts) {
    this.position = parts.frozen.position;
    this.own = parts.frozen.own;
    this.#parts = parts;
    this.#file = parts.file;
    this.#pieces = parts.frozen.pieces[Symbol.iterator]();
    this.#hashed = new HashedPieces(parts.hashing, (chunk) => this.#tryFile((file) => file.add(chunk)));
  }

  /** Goes on for about so long; one piece at least. undefined: there is more. @throws what the machine's `freeze` or `save` throws. */
  advance(timeMs: number): SavedState | undefined {
    const began = performance.now();
    for (;;) {
      const { done, value } = this.#pieces.next();
      if (done === true) return this.#end();
      this.#hashed.add(value);
      const spent = performance.now() - began;
      if (spent < timeMs) continue;
      this.spentMs += spent;
      return undefined;
    }
  }

  /** Nothing of it is wanted any more. */
  abandon(): void {
    this.#parts.frozen.release();
    this.#file?.abandon();
    this.#file = undefined;
  }

  #end(): SavedState {
    this.#parts.frozen.release();
    // The hash comes first: it has the last bytes written.
    const header = { hash: this.#hashed.hash(), length: this.#hashed.length };
    return { header, written: this.#tryFile((file) => file.end(header)) };
  }

  #tryFile<Result>(work: (file: SnapshotFile) => Result): Result | undefined {
    if (this.#file === undefined) return undefined;
    try {
      return work(this.#file);
    } catch (cause) {
      this.#file.abandon();
      this.#file = undefined;
      this.#parts.onFailed(cause);
      return undefined;
    }
  }
}
