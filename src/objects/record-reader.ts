import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
import type { Query } from "../core/guards.ts";
import type { Follow, FollowedLog, FollowPace, ReadPiece, ReadStep } from "../transport/backend.ts";

/** How a machine reads: `isAwaited`, somebody waits for more than is applied; `isWatched`, somebody waits for whatever comes. */
export interface ReadMood {
  readonly isAwaited: boolean;
  readonly isWatched: boolean;
}

/** Reads the records that concern a machine, and waits at the tail for more: without haste as long as nobody is held up by that. */
export class RecordReader {
  readonly #backend: FollowedLog;
  /** What it waits for at the tail. */
  #following: Follow | undefined;
  /** The one that is about to be hurried. */
  #waking: Follow | undefined;
  /** A look at the log found nothing although somebody waits: this node does not show yet what is waited for. */
  #isAhead = false;
  /** performance.now() until which it hears of records at once: somebody waited for it not long ago. */
  #promptUntil = 0;

  constructor(backend: FollowedLog) {
    this.#backend = backend;
  }

  /** What comes next, once there is something. @throws PaxlogError as FollowedLog.read. */
  async next(from: number, query: Query, mood: ReadMood): Promise<ReadPiece> {
    const step: ReadStep = {
      direction: "forward",
      from: from as Position,
      end: Number.MAX_SAFE_INTEGER as Position,
      query,
      bytesMax: limits.messageEntryBytes,
      recordsMax: limits.machineTurnCommands,
    };
    const atOnce = mood.isAwaited && !this.#isAhead;
    const piece = atOnce ? await this.#backend.read(step) : await this.#follow(step, mood);
    this.#isAhead = piece.next <= from && piece.batches.length === 0;
    return piece;
  }

  bePrompt(): void {
    this.#promptUntil = performance.now() + limits.followPromptMs;
  }

  /** Somebody waits for more than is applied. What is in the port already comes before the engine is troubled. */
  wake(): void {
    const following = this.#following;
    if (following === undefined || following === this.#waking) return;
    this.#waking = following;
    setImmediate(() => {
      if (this.#following === following) following.hurry();
    });
  }

  /** Waits at the tail for records. */
  async #follow(step: ReadStep, mood: ReadMood): Promise<ReadPiece> {
    const following = this.#backend.follow(step, this.#pace(step.from, mood));
    this.#following = following;
    // What is waited for may come without a record that concerns the machine, so nothing would tell.
    const timer = mood.isAwaited ? setTimeout(() => following.hurry(), lookAgainMs).unref() : undefined;
    try {
      return await following.piece;
    } finally {
      clearTimeout(timer);
      this.#following = undefined;
    }
  }

  /** Lazy where it is at the tail and nobody is held up by it. */
  #pace(from: number, { isWatched }: ReadMood): FollowPace {
    const isAtTail = from >= this.#backend.bounds().tail;
    const isFree = !isWatched && performance.now() >= this.#promptUntil;
    return isAtTail && isFree ? "lazy" : "prompt";
  }
}

/** Where somebody waits for a position that this node does not show yet. */
const lookAgainMs = 5;
