/** Files by the addon: its calls as they are. storage/ makes a Disk of them. */
import { assert, defined } from "../base/assert.ts";
import { type Addon, chooseAddon, type NativeFile, type OpenOptions } from "./addon.ts";

export type { NativeFile } from "./addon.ts";

export interface NativeFiles {
  /** Opens a file that exists, to be read and, unless `write` is false, to be written. */
  open(path: string, options: Partial<OpenOptions>): NativeFile;
  /** Memory that begins at a multiple of `boundary`, a power of two, and that threads can share. */
  allocateAligned(length: number, boundary: number): Uint8Array<SharedArrayBuffer>;
  /** Copies all parts, one after another, to the begin of `target`; their length. */
  gather(target: Uint8Array, parts: readonly Uint8Array[]): number;
  /** Bytes from the begin of the view to the next multiple of `boundary`. */
  offsetToBoundary(bytes: Uint8Array, boundary: number): number;
}

/**
 * Files by the addon. undefined where the choice is "portable", where "auto" finds no addon, or on a system other than Linux,
 * whose calls these are.
 *
 * @throws PaxlogError INVALID_ARGUMENT where "native" was asked for and the addon cannot be loaded.
 */
export function loadFiles(choice: "auto" | "native" | "portable" = "auto"): NativeFiles | undefined {
  const addon = chooseAddon(choice);
  return addon?.openFile === undefined ? undefined : nativeFiles(addon);
}

function nativeFiles(addon: Addon): NativeFiles {
  const openFile = defined(addon.openFile, "the addon's openFile");
  const defaults: OpenOptions = { write: true, create: false, direct: false, dataSync: false, directory: false };
  return {
    open: (path, options) => openFile(path, { ...defaults, ...options }),
    gather: (target, parts) => addon.gather(target, parts),
    offsetToBoundary: (bytes, boundary) => addon.offsetToBoundary(bytes, boundary),
    allocateAligned: (length, boundary) => {
      const whole = new Uint8Array(new SharedArrayBuffer(length + boundary));
      const begin = addon.offsetToBoundary(whole, boundary);
      const aligned = whole.subarray(begin, begin + length);
      assert(addon.offsetToBoundary(aligned, boundary) === 0, "memory was not aligned");
      return aligned;
    },
  };
}
