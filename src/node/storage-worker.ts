/** The storage thread of a node: locks, opens and recovers the directory, then owns its open segment and superblock. */
import { randomBytes } from "node:crypto";
import { workerData } from "node:worker_threads";
import { loadHashing } from "../native/hashing.ts";
import { type FromStorage, packError } from "../runtime/channel.ts";
import { StorageThread } from "../runtime/storage-thread.ts";
import { lockDirectory } from "../storage/lock.ts";
import { NodeDisk } from "../storage/node-disk.ts";
import { Store } from "../storage/store.ts";
import type { WorkerStart } from "./messages.ts";

const { config, storagePort } = workerData as WorkerStart;

async function run(): Promise<void> {
  const hashing = await loadHashing(config.hashing);
  const lock = await lockDirectory(config.dir);
  const began = performance.now();
  const store = Store.open({
    disk: new NodeDisk(),
    dir: config.dir,
    hashing,
    randomBytes,
    name: config.name,
    segmentBytes: config.segmentBytes,
  });
  const report = [recoveryReport(store, performance.now() - began)];
  new StorageThread({ store, port: storagePort, report, onClosed: () => lock.release() });
}

function recoveryReport(store: Store, tookMs: number): string {
  const { identity, base, window, state } = store.recovered;
  if (state.genesis === undefined) return `the directory ${config.dir} is new`;
  const end = base.slot + window.length;
  return (
    `recovered ${config.dir} in ${Math.round(tookMs)} ms: slots up to ${end}, of which ${window.length} are not known to be decided; ` +
    `opened ${identity.incarnation} times`
  );
}

run().catch((cause: unknown) => {
  const message: FromStorage = { kind: "failed", error: packError(cause, "DIRECTORY_UNUSABLE") };
  storagePort.postMessage(message);
  // The port keeps this thread alive until its owner has read the reason and ends it.
  storagePort.on("message", () => {});
});
