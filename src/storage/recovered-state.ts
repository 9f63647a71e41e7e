import type { Hashing } from "../base/hashing.ts";
import type { SequencerSnapshot } from "../core/sequencer.ts";
import { decodeSnapshot } from "../format/snapshot-state.ts";
import type { Superblock } from "../format/superblock.ts";
import { damaged } from "./damage.ts";
import type { Disk } from "./disk.ts";
import { manifestPath } from "./paths.ts";
import { loadSnapshot } from "./snapshot-files.ts";

/**
 * What the entries below the newest snapshot amount to, as the superblock names it; undefined where there is none yet.
 *
 * @throws PaxlogError DAMAGED (SNAPSHOT_MISSING, SNAPSHOT_DAMAGED), FORMAT_UNKNOWN.
 */
export function recoveredState(
  disk: Disk,
  dir: string,
  { snapshot, state }: Superblock,
  hashing: Hashing,
): SequencerSnapshot | undefined {
  if (snapshot === undefined) return undefined;
  const { manifest, content } = loadSnapshot(disk, dir, snapshot, hashing);
  const file = manifestPath(dir, snapshot.slot);
  if (manifest.clusterId !== state.genesis?.clusterId) {
    throw damaged("SNAPSHOT_DAMAGED", `the snapshot of ${file} is of another cluster`, { file });
  }
  const decoded = decodeSnapshot(content);
  if (decoded.kind === "ok" && decoded.state.end === snapshot.slot) return decoded.state;
  const reason = decoded.kind === "ok" ? `its state ends at slot ${decoded.state.end}` : decoded.reason;
  throw damaged("SNAPSHOT_DAMAGED", `the content of the snapshot of ${file} is none: ${reason}`, { file });
}
