import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { DirectoryQuota } from "../../src/base/directory-quota.ts";
import { PaxlogError, toPaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import type { Uid } from "../../src/base/types.ts";
import { Replica } from "../../src/core/replica.ts";
import { encodeBatch, type RecordInput } from "../../src/format/batch-encode.ts";
import { firstHash, makeEntryMaker } from "../../src/format/entry.ts";
import { makeEntryParts } from "../../src/format/entry-parts.ts";
import { loadHashing } from "../../src/native/hashing.ts";
import { Arena } from "../../src/runtime/arena.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { Engine } from "../../src/runtime/engine.ts";
import { History } from "../../src/runtime/history.ts";
import { IndexJobs } from "../../src/runtime/index-jobs.ts";
import { noPeers } from "../../src/runtime/no-peers.ts";
import { SnapshotExchange } from "../../src/runtime/snapshot-exchange.ts";
import { StorageLink } from "../../src/runtime/storage-link.ts";
import { StorageThread } from "../../src/runtime/storage-thread.ts";
import { LogSequencer } from "../../src/sequencer/sequencer.ts";
import type { Disk } from "../../src/storage/disk.ts";
import type { IndexJob } from "../../src/storage/index-builder.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { LogReader } from "../../src/storage/reader.ts";
import { SnapshotFiles } from "../../src/storage/snapshot-files.ts";
import { Store } from "../../src/storage/store.ts";
import type { AppendResult } from "../../src/transport/backend.ts";

export const hashing = await loadHashing("portable");

export interface LoneNode {
  readonly engine: Engine;
  readonly storage: StorageLink;
  /** Resolves with the reason when the engine stops by itself. */
  readonly stopped: Promise<PaxlogError>;
  close(): Promise<void>;
}

/** The real parts of a node that is alone, in one thread: engine, core, store on a real directory. No gRPC. */
export async function startLoneNode(
  dir: string,
  disk: Disk = new NodeDisk(),
  quota = new DirectoryQuota(),
  /** Has an index built, if the node shall have any: see IndexJobs. */
  build?: (job: IndexJob, jobs: IndexJobs) => void,
): Promise<LoneNode> {
  const { port1, port2 } = new MessageChannel();
  const arena = new Arena({ scrub: true });
  const segmentBytes = limits.segmentBytesMin;
  const store = Store.open({ disk, dir, hashing, randomBytes, name: "node", segmentBytes, quota });
  new StorageThread({ store, port: port1, report: [], onClosed: async () => {} });
  const storage = new StorageLink(port2, arena);
  const opened = await storage.opened();
  const reader = new LogReader(disk, dir, hashing, opened.layout, opened.readerStart);
  storage.onCommitted = (commit) => reader.take(commit);
  const members = [{ name: "node", peerAddress: "" }];
  const sequencer = new LogSequencer(makeEntryParts(hashing), opened.recovered.sequencer);
  const replica = new Replica({
    recovered: opened.recovered,
    members,
    clientAddress: "127.0.0.1:1",
    freshClusterId: randomBytes(16).toString("hex") as Uid,
    firstHash: (clusterId) => firstHash(clusterId, hashing),
    makeEntry: makeEntryMaker(hashing, { memory: arena }),
    sequencer,
    tickMs: limits.roundMs / limits.ticksPerRound,
    ticksPerRound: limits.ticksPerRound,
  });
  const indexes: IndexJobs | undefined =
    build &&
    new IndexJobs({
      reader,
      decidedEnd: () => replica.visibleEnd,
      build: (job) => build(job, indexes!),
      onWritten: (generation) => storage.indexWritten(generation),
      note: () => {},
      onDamaged: (cause) => engine.stop(toPaxlogError(cause)),
    });
  let onStop: (error: PaxlogError) => void = () => {};
  const stopped = new Promise<PaxlogError>((resolve) => {
    onStop = resolve;
  });
  const engine = new Engine({
    replica,
    history: new History(replica.log, reader, sequencer, indexes),
    entryParts: makeEntryParts(hashing),
    storage,
    snapshots: new SnapshotExchange(new SnapshotFiles(disk, dir, hashing)),
    clock: systemClock,
    facts: { name: "node", clientAddress: "127.0.0.1:1", members, hashing: "portable", version: "0" },
    onStop,
  });
  engine.start(noPeers);
  return {
    engine,
    storage,
    stopped,
    close: async () => {
      indexes?.stop();
      engine.stop(new PaxlogError("CLOSED", "closed by the test"));
      await storage.close();
      reader.close();
      port1.close();
    },
  };
}

/** Appends once the node leads: a node that has just started refuses with outcome "none". */
export async function appendWhenLed(engine: Engine, values: readonly (string | RecordInput)[]): Promise<AppendResult> {
  for (let tries = 0; ; tries++) {
    const result = await append(engine, values);
    if (result.kind === "acknowledged" || result.error.code !== "NOT_LEADER" || tries > 200) return result;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function append(engine: Engine, values: readonly (string | RecordInput)[]): Promise<AppendResult> {
  const batch = encodeBatch(values.map((value) => (typeof value === "string" ? { value } : value)));
  const checked = { batch, crc32c: hashing.crc32c(batch), recordCount: values.length };
  return new Promise((resolve) => engine.append(checked, undefined, resolve));
}

export function makeTempDir(): { readonly dir: string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), "paxlog-test-"));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}
