import { viewOf } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import { type Position, type Slot, slotPlus } from "../base/types.ts";
import { entryHeaderBytes, indexedFactsAt } from "../format/entry.ts";
import { decodeGroupHeader, groupExtent, groupHeaderBytes } from "../format/group.ts";
import { segmentHeaderBytes } from "../format/segment.ts";
import { readSound } from "./block-reader.ts";
import { damaged } from "./damage.ts";
import { cutPlaces, type GroupPlace, PlaceTable } from "./places.ts";
import type { SegmentFile } from "./segment-files.ts";

/**
 * Where the groups of a closed segment lie, from their headers alone: for one whose index turned out to be damaged. Entries are
 * verified when they are read.
 *
 * @throws PaxlogError DAMAGED where a header is not what was written.
 */
export function scanPlaces(
  { file, tag }: SegmentFile,
  fileEnd: number,
  end: { readonly slot: Slot; readonly position: Position },
  hashing: Hashing,
): PlaceTable {
  const places: GroupPlace[] = [];
  for (let offset = segmentHeaderBytes; offset < fileEnd; ) {
    const bytes = readSound(file, offset, groupHeaderBytes + entryHeaderBytes);
    const decoded = decodeGroupHeader(bytes, tag, offset, hashing);
    if (decoded.kind !== "ok") {
      const what = `the group that was durable in ${file.path} at ${offset} is damaged`;
      throw damaged("GROUP_ROTTEN", what, { file: file.path, offset });
    }
    const { kind, firstSlot, entryCount, entriesLength } = decoded.header;
    if (kind === "replace") cutPlaces(places, firstSlot);
    const first = indexedFactsAt(viewOf(bytes), groupHeaderBytes, entriesLength);
    if (entryCount > 0 && first !== undefined) {
      const endSlot = slotPlus(firstSlot, entryCount);
      const { firstPosition } = first;
      const { generation } = tag;
      places.push({ generation, offset, entriesLength, firstSlot, endSlot, firstPosition, endPosition: end.position });
    }
    offset += groupExtent(entriesLength);
  }
  cutPlaces(places, end.slot);
  const table = new PlaceTable();
  for (const place of places) table.add(place);
  return table;
}
