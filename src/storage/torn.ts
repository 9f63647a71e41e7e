import { limits } from "../base/limits.ts";
import { groupExtent } from "../format/group.ts";
import { readSound } from "./block-reader.ts";
import type { Disk } from "./disk.ts";
import type { LogWriter, OpenSegment } from "./log.ts";
import { segmentName, segmentPath, trashDirectory, unfinished } from "./paths.ts";

/**
 * Leaves a torn end behind (STORAGE 4): a copy goes to trash/, for whoever wants to know what was there; the log goes on in a
 * new segment, whose header names where this one ends; only then is this one shortened. A crash anywhere in between leaves the
 * same verdict: either the end is still torn, or the new header says that it is void.
 */
export function abandonTornEnd(disk: Disk, dir: string, segment: OpenSegment, tornEnd: number, log: LogWriter): void {
  const { generation } = segment.tag;
  const path = segmentPath(dir, generation);
  const file = disk.open(path, "write");
  try {
    // Behind a group that was torn in a recycled file the old bytes go on; no group is longer than this.
    const length = Math.min(tornEnd - segment.offset, groupExtent(limits.replaceBytesMax));
    const torn = readSound(file, segment.offset, length);
    putIntoTrash(disk, dir, `${segmentName(generation)}.${segment.offset}`, torn);
    log.roll(limits.blockBytes);
    file.resize(segment.offset);
    file.sync();
  } finally {
    file.close();
  }
}

/** Keeps the newest few: a node that crashes again and again must not fill its disk. */
function putIntoTrash(disk: Disk, dir: string, name: string, bytes: Uint8Array): void {
  const trash = trashDirectory(dir);
  if (!disk.exists(trash)) disk.makeDirectory(trash);
  const kept: string[] = [];
  for (const other of disk.list(trash)) {
    if (other === name || other.endsWith(unfinished)) disk.remove(`${trash}/${other}`);
    else kept.push(other);
  }
  // Names begin with the generation, so the oldest come first.
  for (const other of kept.slice(0, Math.max(0, kept.length - limits.trashFilesMax + 1)))
    disk.remove(`${trash}/${other}`);
  const path = `${trash}/${name}`;
  const file = disk.create(path + unfinished);
  try {
    file.write(0, [bytes]);
    file.sync();
  } finally {
    file.close();
  }
  disk.rename(path + unfinished, path);
  disk.syncDirectory(trash);
}
