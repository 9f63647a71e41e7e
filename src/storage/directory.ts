import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import type { Superblock } from "../format/superblock.ts";
import { damaged } from "./damage.ts";
import type { Disk } from "./disk.ts";
import {
  logDirectory,
  parentOf,
  reserveDirectory,
  snapshotsDirectory,
  superblockPath,
  trashDirectory,
  unfinished,
} from "./paths.ts";
import { SuperblockStore } from "./superblock-store.ts";

/** What a directory may hold whose formatting was cut short; all of it is made again. */
const leftovers: ReadonlySet<string> = new Set([
  "LOCK",
  "log",
  "trash",
  "snapshots",
  "reserve",
  "write-mode",
  `write-mode${unfinished}`,
  `measure${unfinished}`,
  `superblock${unfinished}`,
]);

/** Whether a directory holds a log, or nothing but what a formatting that was cut short leaves. */
export function isOurs(disk: Disk, dir: string): boolean {
  return disk.exists(superblockPath(dir)) || disk.list(dir).every((name) => leftovers.has(name));
}

/**
 * Formats a directory that is empty, and syncs one that is not. The superblock comes last and under its name only when it is
 * whole, so a directory without one was never used; one that was used and lost it is not mistaken for an empty one.
 *
 * @throws PaxlogError DAMAGED (NOT_FOUND) where the superblock of a log is missing; DIRECTORY_UNUSABLE where something else
 *   lives in the directory.
 */
export function formatDirectory(disk: Disk, dir: string, hashing: Hashing, fresh: () => Superblock): void {
  const path = superblockPath(dir);
  if (!disk.exists(dir)) disk.makeDirectory(dir);
  disk.syncDirectory(dir);
  if (disk.exists(path)) return;

  for (const name of disk.list(dir)) {
    if (leftovers.has(name)) continue;
    throw new PaxlogError(
      "DIRECTORY_UNUSABLE",
      `the directory ${dir} is not empty and holds no log: it has "${name}". Give an empty directory, or one that this node made.`,
      { facts: { directory: dir, name } },
    );
  }
  for (const directory of [logDirectory, trashDirectory, snapshotsDirectory, reserveDirectory].map((of) => of(dir))) {
    if (disk.exists(directory) && disk.list(directory).length > 0) {
      throw damaged("NOT_FOUND", `${dir} holds a log and its superblock is missing`, { file: path });
    }
    disk.makeDirectory(directory);
  }
  if (disk.exists(path + unfinished)) disk.remove(path + unfinished);
  disk.syncDirectory(dir);
  SuperblockStore.format(disk, path, fresh(), hashing);
  const parent = parentOf(dir);
  if (disk.exists(parent)) disk.syncDirectory(parent);
}
