import type { DamageReason } from "./damage.ts";

/** What is wrong with a directory that was looked at and not opened: where, and what it means. */
export interface Fault {
  /** Its path, the directory included. */
  readonly file: string;
  /** In bytes from the file's begin; undefined where the file as a whole is meant. */
  readonly offset: number | undefined;
  readonly verdict: FaultVerdict;
  readonly reason: FaultReason;
  /** One sentence for people. */
  readonly text: string;
  /** Number of the group, where it is known. */
  readonly group?: number;
  /** Slots whose entries are not there or not proved, where they are known. */
  readonly slots?: { readonly from: number; readonly end: number };
}

export type FaultReason = DamageReason | "FORMAT_UNKNOWN" | "COPY_DAMAGED" | "TORN_END" | "INDEX_DAMAGED";

/**
 * damaged: was durable, and is not what it was; the node does not open it. mended: the node mends it by itself when it opens the
 * directory. torn: the end of a write that was never acknowledged, as a crash leaves it; nothing is wrong.
 */
export type FaultVerdict = "damaged" | "mended" | "torn";

export type OnFault = (fault: Fault) => void;
