import { concat } from "../base/bytes.ts";
import { limits } from "../base/limits.ts";
import type { WriteSnapshotEffect } from "../core/effect.ts";
import { encodeSnapshotPieces } from "../format/snapshot-state.ts";
import type { BackgroundWrite } from "../storage/write.ts";

/**
 * Makes the bytes of snapshots between the turns of the loop: with all sessions in use there are a million outcomes to write down,
 * and neither appends nor heartbeats wait for that. One at a time; of those that come meanwhile the newest is made next, since it
 * replaces the others.
 */
export class SnapshotEncoder {
  /** Runs a piece of work when others have had their turn; not any more once the node ends. */
  readonly #later: (work: () => void) => void;
  readonly #submit: (write: BackgroundWrite) => void;
  readonly #pieceBytes: number;
  #isAtWork = false;
  #next: WriteSnapshotEffect | undefined;

  constructor(
    later: (work: () => void) => void,
    submit: (write: BackgroundWrite) => void,
    pieceBytes: number = limits.snapshotEncodeBytes,
  ) {
    this.#later = later;
    this.#submit = submit;
    this.#pieceBytes = pieceBytes;
  }

  add(effect: WriteSnapshotEffect): void {
    this.#next = effect;
    if (!this.#isAtWork) this.#begin();
  }

  #begin(): void {
    const effect = this.#next;
    this.#next = undefined;
    this.#isAtWork = effect !== undefined;
    if (effect === undefined) return;
    const { base, state, configuration } = effect;
    const pieces = encodeSnapshotPieces(state, configuration, this.#pieceBytes);
    const made: Uint8Array[] = [];
    const goOn = (): void => {
      const { value, done } = pieces.next();
      if (value !== undefined) made.push(value);
      if (done !== true) return this.#later(goOn);
      this.#submit({ kind: "snapshot", base, content: concat(made) });
      this.#begin();
    };
    goOn();
  }
}
