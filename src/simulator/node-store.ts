import type { Hashing } from "../base/hashing.ts";
import type { Slot } from "../base/types.ts";
import type { Recovered } from "../core/durable.ts";
import type { Entry } from "../core/entry.ts";
import { decodeEntries } from "../format/entry.ts";
import { groupHeaderBytes } from "../format/group.ts";
import { segmentPath } from "../storage/paths.ts";
import { PlaceTable } from "../storage/places.ts";
import { type Commit, Store } from "../storage/store.ts";
import type { Random } from "./random.ts";
import type { SimDisk } from "./sim-disk.ts";
import type { OpenedStore } from "./sim-storage.ts";

/** A store with its reader, as one node uses them. */
export interface NodeStore extends OpenedStore {
  readonly recovered: Recovered;
  /** Durable entries from a slot on to below `end`, as many as fit, at least one, verified in this read. */
  read(from: Slot, end: Slot, bytesMax: number): Entry[];
}

export type OpenNodeStore = (options: { readonly disk: SimDisk; readonly name: string; readonly random: Random }) => NodeStore;

const dir = "/data";

export function makeOpenNodeStore(hashing: Hashing, segmentBytes: number): OpenNodeStore {
  return ({ disk, name, random }) => {
    const randomBytes = (count: number) => Uint8Array.from({ length: count }, () => random.below(256));
    const store = Store.open({ disk, dir, hashing, randomBytes, name, segmentBytes });
    const places = new PlaceTable();
    for (const place of store.layout) places.add(place);
    const note = (commit: Commit) => {
      if (commit.voidFrom !== undefined) places.cut(commit.voidFrom);
      for (const place of commit.places) places.add(place);
    };
    return {
      recovered: store.recovered,
      get pending() {
        return store.pending;
      },
      submit: (write) => store.submit(write),
      commit: () => {
        const commit = store.commit();
        if (commit !== undefined) note(commit);
        return commit?.ticket;
      },
      mark: () => store.mark(),
      read: (from, end, bytesMax) => {
        const entries: Entry[] = [];
        let bytes = 0;
        for (let slot = from; slot < end; ) {
          const index = places.findSlot(slot);
          if (index === undefined) break;
          const place = places.at(index);
          const file = disk.open(segmentPath(dir, place.generation), "read");
          const raw = new Uint8Array(place.entriesLength);
          file.read(place.offset + groupHeaderBytes, raw);
          file.close();
          const decoded = decodeEntries(raw, hashing);
          if (decoded.kind !== "ok") throw new Error(decoded.reason);
          for (const entry of decoded.entries) {
            if (entry.slot < slot || entry.slot >= Math.min(end, place.endSlot)) continue;
            if (entries.length > 0 && bytes + entry.bytes.length > bytesMax) return entries;
            entries.push(entry);
            bytes += entry.bytes.length;
          }
          slot = place.endSlot;
        }
        return entries;
      },
    };
  };
}
