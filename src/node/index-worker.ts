/** What the workers of the index pool run. */
import { setPriority } from "node:os";
import type { IndexedSegment } from "../storage/index-builder.ts";
import { type IndexTask, runIndexTask } from "./build-index.ts";

// An index can wait, an append cannot. On Linux only, where a priority is that of a thread.
if (process.platform === "linux") setPriority(0, 19);

export default (task: IndexTask): Promise<IndexedSegment> => runIndexTask(task);
