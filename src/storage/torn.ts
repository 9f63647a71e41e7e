import { limits } from "../base/limits.ts";
import { groupExtent } from "../format/group.ts";
import { readSound } from "./block-reader.ts";
import type { Disk } from "./disk.ts";
import type { LogWriter, OpenSegment } from "./log.ts";
import { segmentPath } from "./paths.ts";
import type { Trash } from "./trash.ts";

/**
 * Leaves a torn end behind (STORAGE 4): a copy goes to trash/, for whoever wants to know what was there; the log goes on in a
 * new segment, whose header names where this one ends; only then is this one shortened. A crash anywhere in between leaves the
 * same verdict: either the end is still torn, or the new header says that it is void.
 */
export function abandonTornEnd(
  { disk, dir, trash }: { readonly disk: Disk; readonly dir: string; readonly trash: Trash },
  segment: OpenSegment,
  tornEnd: number,
  log: LogWriter,
): void {
  const { generation } = segment.tag;
  const path = segmentPath(dir, generation);
  const file = disk.open(path, "write");
  try {
    // Behind a group that was torn in a recycled file the old bytes go on; no group is longer than this.
    const length = Math.min(tornEnd - segment.offset, groupExtent(limits.replaceBytesMax));
    const torn = readSound(file, segment.offset, length);
    trash.putTornEnd(generation, segment.offset, torn);
    log.roll(limits.blockBytes);
    file.resize(segment.offset);
    file.sync();
  } finally {
    file.close();
  }
}
