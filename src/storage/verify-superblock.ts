import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import type { Superblock } from "../format/superblock.ts";
import { superblockCopies, superblockCopyBytes } from "../format/superblock.ts";
import type { DamageReason } from "./damage.ts";
import type { Disk } from "./disk.ts";
import type { OnFault } from "./fault.ts";
import { superblockPath } from "./paths.ts";
import { checkHistory, readCopies, winnerOf } from "./superblock-store.ts";

export interface ReadSuperblock {
  readonly superblock: Superblock;
  /** How often it was written since the directory was formatted. */
  readonly sequence: number;
}

/**
 * The superblock that an opening would take, and a fault for each copy that is not its: opening mends those. Changes nothing.
 * undefined where no superblock can be taken; that is told.
 */
export function verifySuperblock(
  disk: Disk,
  dir: string,
  hashing: Hashing,
  onFault: OnFault,
): ReadSuperblock | undefined {
  const path = superblockPath(dir);
  if (!disk.exists(path)) {
    const text = "the superblock is missing";
    onFault({ file: path, offset: undefined, verdict: "damaged", reason: "NOT_FOUND", text });
    return undefined;
  }
  const file = disk.open(path, "read");
  try {
    const copies = readCopies(file, hashing);
    checkHistory(copies, path);
    const winner = winnerOf(copies, path);
    for (let place = 0; place < superblockCopies; place += 1) {
      const copy = copies[place];
      if (copy?.checksum === winner.checksum) continue;
      const what = copy === undefined ? "is damaged" : `is that of write ${copy.sequence}`;
      const text = `copy ${place + 1} ${what}; write ${winner.sequence} takes its place when the node starts`;
      onFault({ file: path, offset: place * superblockCopyBytes, verdict: "mended", reason: "COPY_DAMAGED", text });
    }
    return { superblock: winner.superblock, sequence: winner.sequence };
  } catch (error) {
    if (!(error instanceof PaxlogError)) throw error;
    const reason = error.code === "FORMAT_UNKNOWN" ? "FORMAT_UNKNOWN" : (error.facts.reason as DamageReason);
    const text = error.message.replace(/ \([A-Z_]+\)\. .*$/s, "");
    onFault({ file: path, offset: undefined, verdict: "damaged", reason, text });
    return undefined;
  } finally {
    file.close();
  }
}
