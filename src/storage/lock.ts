import { readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { PaxlogError } from "../base/errors.ts";
import type { NativeFile, NativeFiles } from "../native/files.ts";
import { lockPath } from "./paths.ts";

export interface DirectoryLock {
  /** Gives the directory free. The end of the process does so too, however it ends. */
  release(): Promise<void>;
}

/**
 * Holds a directory for one owner, on this machine: an abstract unix socket (Linux) named by device and inode, which the
 * kernel gives free with its process, so no lock outlives its owner. The LOCK file tells who that is. With the addon's `files` it
 * is also locked itself (an open-file-description lock): sockets have no say between containers that share a directory.
 *
 * @throws PaxlogError DIRECTORY_IN_USE with the fact `pid` where it is known, for a second opener in the same process too;
 *   DIRECTORY_UNUSABLE where the directory is missing or may not be written.
 */
export async function lockDirectory(dir: string, files?: NativeFiles): Promise<DirectoryLock> {
  const server = await holdName(dir);
  let file: NativeFile | undefined;
  try {
    file = files === undefined ? undefined : lockFile(dir, files);
    writeFileSync(lockPath(dir), `${process.pid}\n`, { mode: 0o600 });
  } catch (cause) {
    file?.close();
    await close(server);
    throw cause instanceof PaxlogError ? cause : notUsable(dir, cause);
  }
  return {
    release: async () => {
      file?.close();
      await close(server);
    },
  };
}

/**
 * Whether a process of this machine has the directory open, without a trace in it: for whoever only looks. Containers that share the
 * directory are not seen.
 *
 * @throws PaxlogError DIRECTORY_IN_USE with the fact `pid` where it is known; DIRECTORY_UNUSABLE where the directory is missing.
 */
export async function checkUnused(dir: string): Promise<void> {
  await close(await holdName(dir));
}

async function holdName(dir: string): Promise<Server> {
  let name: string;
  try {
    const { dev, ino } = statSync(dir, { bigint: true });
    name = `\0paxlog-${dev}-${ino}`;
  } catch (cause) {
    throw notUsable(dir, cause);
  }
  return await listen(name).catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === "EADDRINUSE" ? inUse(dir) : notUsable(dir, cause);
  });
}

/** The open LOCK, which holds its lock until it is closed. */
function lockFile(dir: string, files: NativeFiles): NativeFile {
  const path = lockPath(dir);
  const file = openOrCreate(path, files);
  try {
    if (file.tryLock()) return file;
  } catch (cause) {
    file.close();
    throw cause;
  }
  file.close();
  throw inUse(dir);
}

function openOrCreate(path: string, files: NativeFiles): NativeFile {
  try {
    return files.open(path, {});
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    return files.open(path, { create: true });
  }
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    // Nobody has business here: the name is the lock.
    const server = createServer((socket) => socket.destroy());
    server.once("error", reject);
    server.listen({ path, exclusive: true }, () => {
      server.off("error", reject);
      // The lock alone keeps no process alive.
      server.unref();
      resolve(server);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

function inUse(dir: string): PaxlogError {
  const pid = ownerOf(dir);
  const owner = pid === undefined ? "another process" : `process ${pid}`;
  return new PaxlogError(
    "DIRECTORY_IN_USE",
    `the directory ${dir} is in use by ${owner}. Stop that one first, or give this node a directory of its own.`,
    { facts: { directory: dir, ...(pid === undefined ? {} : { pid }) } },
  );
}

/** The owner may not have written its pid yet: then it is not known. */
function ownerOf(dir: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(lockPath(dir), "utf8"), 10);
    return Number.isSafeInteger(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

function notUsable(dir: string, cause: unknown): PaxlogError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new PaxlogError(
    "DIRECTORY_UNUSABLE",
    `the directory ${dir} cannot be locked: ${why}. Give one that exists and that this user may write.`,
    { cause, facts: { directory: dir } },
  );
}
