import type { Hashing } from "../base/hashing.ts";
import { loadHashing } from "../native/hashing.ts";
import { buildIndex, type IndexedSegment, type IndexJob } from "../storage/index-builder.ts";
import { NodeDisk } from "../storage/node-disk.ts";

/** What the pool's worker is asked. */
export interface IndexTask {
  readonly dir: string;
  readonly hashing: Hashing["implementation"];
  readonly job: IndexJob;
}

/** Builds one index; `pause` is awaited between pieces of some milliseconds. @throws Error where there can be none. */
export async function runIndexTask(
  { dir, hashing, job }: IndexTask,
  pause?: () => Promise<void>,
): Promise<IndexedSegment> {
  const build = buildIndex({ disk: new NodeDisk(), dir, hashing: await loadHashing(hashing), job });
  try {
    for (let step = build.next(); ; step = build.next()) {
      if (step.done === true) return step.value;
      await pause?.();
    }
  } finally {
    build.return(undefined as never);
  }
}
