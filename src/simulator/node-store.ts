import type { Hashing } from "../base/hashing.ts";
import type { Recovered } from "../core/durable.ts";
import { LogReader } from "../storage/reader.ts";
import { Store } from "../storage/store.ts";
import type { Random } from "./random.ts";
import type { SimDisk } from "./sim-disk.ts";
import type { OpenedStore } from "./sim-storage.ts";

/** The real store of one node, over its simulated disk, with the reader that serves what is not in memory. */
export interface NodeStore extends OpenedStore {
  readonly recovered: Recovered;
  readonly reader: LogReader;
}

export type OpenNodeStore = (options: {
  readonly disk: SimDisk;
  readonly name: string;
  readonly random: Random;
}) => NodeStore;

const dir = "/data";

export function makeOpenNodeStore(hashing: Hashing, segmentBytes: number): OpenNodeStore {
  return ({ disk, name, random }) => {
    const randomBytes = (count: number) => Uint8Array.from({ length: count }, () => random.below(256));
    const store = Store.open({ disk, dir, hashing, randomBytes, name, segmentBytes });
    const reader = new LogReader(disk, dir, hashing, store.layout);
    return {
      recovered: store.recovered,
      reader,
      get pending() {
        return store.pending;
      },
      submit: (write) => store.submit(write),
      // The reader knows what is durable before the core does, as between the threads of a real node.
      commit: () => {
        const commit = store.commit();
        if (commit !== undefined) reader.add(commit.places, commit.voidFrom);
        return commit?.ticket;
      },
      mark: () => store.mark(),
    };
  };
}
