/** The storage thread of a node: locks, opens and recovers the directory, then owns its open segment and superblock. */
import { randomBytes } from "node:crypto";
import type { MessagePort } from "node:worker_threads";
import { DirectoryQuota } from "../base/directory-quota.ts";
import { loadFiles, type NativeFiles } from "../native/files.ts";
import { loadHashing } from "../native/hashing.ts";
import { type FromStorage, packError } from "../runtime/channel.ts";
import { StorageThread } from "../runtime/storage-thread.ts";
import type { Disk } from "../storage/disk.ts";
import { lockDirectory } from "../storage/lock.ts";
import { NativeDisk } from "../storage/native-disk.ts";
import { NodeDisk } from "../storage/node-disk.ts";
import { Store } from "../storage/store.ts";
import { chooseWriteMode } from "../storage/write-mode.ts";
import type { CheckedConfig } from "./config.ts";
import type { StorageStart } from "./messages.ts";

/** Resolves when the engine has closed its end of the port, or never did more than to say why the directory cannot be used. */
export async function runStorage({ config, storagePort, quota, unref }: StorageStart): Promise<void> {
  const over = new Promise<void>((resolve) => storagePort.once("close", () => resolve()));
  try {
    await openStore(config, storagePort, new DirectoryQuota(quota));
  } catch (cause) {
    const message: FromStorage = { kind: "failed", error: packError(cause, "DIRECTORY_UNUSABLE") };
    storagePort.postMessage(message);
    // The port keeps this thread alive until the engine has read the reason and closes it.
    storagePort.on("message", () => {});
  }
  if (unref) storagePort.unref();
  await over;
}

async function openStore(config: CheckedConfig, port: MessagePort, quota: DirectoryQuota): Promise<void> {
  const hashing = await loadHashing(config.hashing);
  const files = loadFiles(hashing.implementation);
  const lock = await lockDirectory(config.dir, files);
  const { disk, note } = openDisk(files, config.dir);
  const began = performance.now();
  const { dir, name, segmentBytes } = config;
  const store = Store.open({
    disk,
    dir,
    hashing,
    randomBytes,
    name,
    segmentBytes,
    quota,
  });
  const report = [recoveryReport(dir, store, performance.now() - began), note];
  new StorageThread({ store, port, report, onClosed: () => lock.release() });
}

/** The addon's files where there are such, in the mode that is the directory's; node:fs elsewhere. The bytes are the same. */
function openDisk(files: NativeFiles | undefined, dir: string): { readonly disk: Disk; readonly note: string } {
  if (files === undefined) {
    return { disk: new NodeDisk(), note: "files are written through node:fs, synced with fdatasync" };
  }
  const { mode, measured } = chooseWriteMode(files, dir);
  const how =
    mode === "direct" ? "past the page cache (O_DIRECT, O_DSYNC)" : "through the page cache, synced with fdatasync";
  const why =
    measured === undefined ? "" : `; measured just now: direct is ${measured.toFixed(2)} times as fast as buffered`;
  return { disk: new NativeDisk(files, mode), note: `files are written by the native addon, ${how}${why}` };
}

function recoveryReport(dir: string, store: Store, tookMs: number): string {
  const { identity, base, window } = store.recovered;
  if (identity.incarnation === 1) return `the directory ${dir} is new`;
  const end = base.slot + window.length;
  return (
    `recovered ${dir}, opened for the ${ordinal(identity.incarnation)} time, in ${Math.round(tookMs)} ms: ` +
    `slots below ${end}, the last ${window.length} of them not known to be decided`
  );
}

function ordinal(count: number): string {
  const teen = count % 100 >= 11 && count % 100 <= 13;
  return `${count}${teen ? "th" : (["th", "st", "nd", "rd"][count % 10] ?? "th")}`;
}
