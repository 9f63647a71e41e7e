/**
 * The file `write-mode` of a data directory: how its owner makes what it writes durable. One line of text,
 *
 *   paxlog write-mode 1 <mode>
 *
 * where 1 is the version and the mode "buffered" or "direct" (native-disk.ts). It changes speed, never bytes: where the file is
 * missing or unreadable, the better mode is measured and written down; whoever edits it while the node is stopped decides.
 */
import { PaxlogError } from "../base/errors.ts";
import type { NativeFiles } from "../native/files.ts";
import { formatUnknown } from "./damage.ts";
import { isOurs } from "./directory.ts";
import { type Disk, DiskError, type DiskFile } from "./disk.ts";
import { NativeDisk, type WriteMode } from "./native-disk.ts";
import { measurePath, unfinished, writeModePath } from "./paths.ts";

const version = 1;

export interface ModeChoice {
  readonly mode: WriteMode;
  /** What a measurement just found: time buffered over time direct, 1 where both are as fast. undefined: it was written down. */
  readonly measured: number | undefined;
}

/**
 * The mode of a directory: what is written down there, or else the better one, measured now (some tens of milliseconds) and
 * written down. The caller holds the directory's lock.
 *
 * @throws PaxlogError FORMAT_UNKNOWN for a file of a later version, DIRECTORY_UNUSABLE for a mode that is none; DiskError.
 */
export function chooseWriteMode(files: NativeFiles, dir: string): ModeChoice {
  const disk = new NativeDisk(files, "buffered");
  const known = readMode(disk, dir);
  if (known !== undefined) return { mode: known, measured: undefined };
  // Whatever else lives here is not touched; the store refuses such a directory.
  if (!isOurs(disk, dir)) return { mode: "buffered", measured: undefined };
  const measured = measureModes(files, dir);
  const mode: WriteMode = measured >= directRatioMin ? "direct" : "buffered";
  writeMode(disk, dir, mode);
  return { mode, measured };
}

/**
 * Direct unless it is clearly slower: it saves the copy into the page cache, which was a fifth of the processor time of three busy
 * nodes, and time is all that the measurement sees. What is read again soon is read from the core's memory, not from the cache.
 */
const directRatioMin = 0.7;

function readMode(disk: Disk, dir: string): WriteMode | undefined {
  const path = writeModePath(dir);
  if (!disk.exists(path)) return undefined;
  const file = disk.open(path, "read");
  const bytes = new Uint8Array(64);
  let text: string;
  try {
    text = Buffer.from(bytes.subarray(0, file.read(0, bytes))).toString("latin1");
  } catch (error) {
    if (error instanceof DiskError && error.errno === "EIO") return undefined;
    throw error;
  } finally {
    file.close();
  }
  const [, number, mode] = /^paxlog write-mode (\d+) (\S+)\s*$/.exec(text) ?? [];
  if (number === undefined) return undefined;
  if (Number(number) !== version) throw formatUnknown("the file write-mode", Number(number), { file: path });
  if (mode === "buffered" || mode === "direct") return mode;
  throw new PaxlogError(
    "DIRECTORY_UNUSABLE",
    `${path} names the mode "${mode}"; write "buffered" or "direct" there, or remove the file and the better one is measured`,
    { facts: { file: path } },
  );
}

function writeMode(disk: Disk, dir: string, mode: WriteMode): void {
  const path = writeModePath(dir);
  if (disk.exists(path + unfinished)) disk.remove(path + unfinished);
  const file = disk.create(path + unfinished);
  try {
    file.write(0, [Buffer.from(`paxlog write-mode ${version} ${mode}\n`)]);
    file.sync();
  } finally {
    file.close();
  }
  disk.rename(path + unfinished, path);
  disk.syncDirectory(dir);
}

/** Sizes of a write, and how many of each in a round. Both modes take turns, so that a slow moment of the disk hits both. */
const probes = [
  { bytes: 4 * 1024, count: 12 },
  { bytes: 64 * 1024, count: 6 },
  { bytes: 1024 * 1024, count: 2 },
] as const;
const probeRounds = 4;
const probeFileBytes = 4 * 1024 * 1024;

/** Time buffered over time direct: of the medians of each size, the geometric mean. Over space that was written before. */
export function measureModes(files: NativeFiles, dir: string): number {
  const path = measurePath(dir);
  const disks = { buffered: new NativeDisk(files, "buffered"), direct: new NativeDisk(files, "direct") };
  if (disks.buffered.exists(path)) disks.buffered.remove(path);
  const whole = disks.buffered.create(path);
  try {
    whole.write(0, [new Uint8Array(probeFileBytes)]);
    whole.sync();
    const opened = { buffered: disks.buffered.open(path, "write"), direct: disks.direct.open(path, "write") };
    try {
      return compare(opened);
    } finally {
      opened.buffered.close();
      opened.direct.close();
    }
  } finally {
    whole.close();
    disks.buffered.remove(path);
  }
}

function compare(opened: { readonly buffered: DiskFile; readonly direct: DiskFile }): number {
  const times = probes.map(() => ({ buffered: [] as number[], direct: [] as number[] }));
  // The direct file's first sync is for what others may have left; it must not count.
  for (const file of [opened.buffered, opened.direct]) file.sync();
  for (let round = 0; round < probeRounds; round += 1) {
    for (const mode of round % 2 === 0 ? (["buffered", "direct"] as const) : (["direct", "buffered"] as const)) {
      probes.forEach(({ bytes, count }, index) => {
        for (let turn = 0; turn < count; turn += 1) {
          times[index]![mode].push(timeOf(opened[mode], ((round * count + turn) * bytes) % probeFileBytes, bytes));
        }
      });
    }
  }
  const ratios = times.map(({ buffered, direct }) => median(buffered) / median(direct));
  return Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
}

function timeOf(file: DiskFile, offset: number, bytes: number): number {
  const block = probeBlock.subarray(0, bytes);
  const began = performance.now();
  file.write(offset, [block]);
  file.sync();
  return performance.now() - began;
}

const probeBlock = new Uint8Array(1024 * 1024).fill(0x5a);

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
