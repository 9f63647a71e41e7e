import type { Hashing } from "../base/hashing.ts";
import { maxSlot } from "../base/types.ts";
import type { Recovered } from "../core/durable.ts";
import type { StoreCounters } from "../storage/counters.ts";
import type { Disk } from "../storage/disk.ts";
import { buildIndex } from "../storage/index-builder.ts";
import { LogReader } from "../storage/reader.ts";
import { SnapshotFiles } from "../storage/snapshot-files.ts";
import { Store } from "../storage/store.ts";
import type { BackgroundWrite } from "../storage/write.ts";
import type { Random } from "./random.ts";
import type { SimDisk } from "./sim-disk.ts";
import type { OpenedStore } from "./sim-storage.ts";

/** The real store of one node, over its simulated disk, with the reader that serves what is not in memory. */
export interface NodeStore extends OpenedStore {
  readonly recovered: Recovered;
  readonly reader: LogReader;
  readonly snapshotFiles: SnapshotFiles;
  readonly counters: StoreCounters;
  /** Takes what becomes durable when there is time. */
  submitBackground(write: BackgroundWrite): void;
}

export type OpenNodeStore = (options: {
  readonly disk: SimDisk;
  readonly name: string;
  readonly random: Random;
}) => NodeStore;

/** Where a node's directory is on its disk. */
export const storeDir = "/data";

export function makeOpenNodeStore(options: {
  readonly hashing: Hashing;
  readonly segmentBytes: number;
  readonly wrapDisk: (disk: Disk) => Disk;
}): OpenNodeStore {
  const { hashing, segmentBytes } = options;
  return ({ disk: simulated, name, random }) => {
    const disk = options.wrapDisk(simulated);
    const randomBytes = (count: number) => Uint8Array.from({ length: count }, () => random.below(256));
    const store = Store.open({ disk, dir: storeDir, hashing, randomBytes, name, segmentBytes });
    const reader = new LogReader(disk, storeDir, hashing, store.layout, store.readerStart);
    let decidedEnd = store.recovered.base.slot;
    // Of a real node another thread does this; here it takes no time, and the disk may crash in the middle of it.
    const indexNext = (): void => {
      const job = reader.nextIndexJob(decidedEnd);
      if (job === undefined) return;
      try {
        const build = buildIndex({ disk, dir: storeDir, hashing, job });
        let step = build.next();
        while (step.done !== true) step = build.next();
        reader.indexed(step.value);
        store.noteIndex(job.generation);
      } catch (cause) {
        if (simulated.crashed) throw cause;
        reader.indexFailed(job.generation);
      }
    };
    return {
      recovered: store.recovered,
      reader,
      snapshotFiles: new SnapshotFiles(disk, storeDir, hashing),
      counters: store.counters,
      get pending() {
        return store.pending || store.hasBackground;
      },
      submit: (write) => {
        if ("decidedEnd" in write) decidedEnd = maxSlot(decidedEnd, write.decidedEnd);
        store.submit(write);
      },
      submitBackground: (write) => store.submitBackground(write),
      // The reader knows what is durable before the core does, as between the threads of a real node.
      commit: () => {
        const commit = store.commit() ?? store.advance();
        if (commit === undefined) return undefined;
        reader.take(commit);
        indexNext();
        return commit;
      },
      mark: () => store.mark(),
    };
  };
}
