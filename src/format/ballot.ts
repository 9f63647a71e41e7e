/**
 * A ballot in 16 bytes: configId u32, nodeId u32, n u64, little-endian. The same in entries, groups, segments and superblocks.
 */
import { readU64, writeU64 } from "../base/bytes.ts";
import type { NodeId } from "../base/types.ts";
import type { Ballot } from "../core/ballot.ts";

export function writeBallot(view: DataView, offset: number, ballot: Ballot): void {
  view.setUint32(offset, ballot.configId, true);
  view.setUint32(offset + 4, ballot.nodeId, true);
  writeU64(view, offset + 8, ballot.n);
}

/** `n` is -1 where the field holds 2^53 or more: whoever decodes turns that into a verdict. */
export function readBallot(view: DataView, offset: number): Ballot {
  return {
    configId: view.getUint32(offset, true),
    n: readU64(view, offset + 8),
    nodeId: view.getUint32(offset + 4, true) as NodeId,
  };
}
