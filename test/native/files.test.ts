/**
 * Goal: the addon's files do what the system's calls do, keep the errno by name, and never outlive the thread that opened them.
 * Method: real files in a directory of the test's own, compared with what node:fs sees of them.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, test } from "vitest";
import { loadFiles, type NativeFiles } from "../../src/native/files.ts";

const loaderOfAddon = fileURLToPath(new URL("../../native/index.cjs", import.meta.url));
const files = existsSync(loaderOfAddon) ? loadFiles("native") : undefined;

describe("the choice", () => {
  test("of portable code is none of the addon's files", () => {
    expect(loadFiles("portable")).toBeUndefined();
  });
});

describe.runIf(files !== undefined)("the addon's files", () => {
  // The body of a suite runs even where its tests do not.
  const { open, allocateAligned, offsetToBoundary } = files ?? ({} as NativeFiles);
  const dir = mkdtempSync(join(tmpdir(), "paxlog-files-"));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  const codeOf = (run: () => unknown): unknown => {
    try {
      run();
    } catch (error) {
      return (error as NodeJS.ErrnoException).code;
    }
    return "none";
  };

  test("are written in more pieces than one call takes, and read back", () => {
    const path = join(dir, "pieces");
    const parts = Array.from({ length: 2500 }, (_, index) => new Uint8Array(randomBytes(index % 300)));
    const file = open(path, { create: true });
    file.write(11, parts);
    const whole = Buffer.concat([Buffer.alloc(11), ...parts]);
    expect(file.size()).toBe(whole.length);
    expect(readFileSync(path).equals(whole)).toBe(true);
    const target = new Uint8Array(whole.length + 5).fill(9);
    expect(file.read(1, target)).toBe(whole.length - 1);
    expect(Buffer.from(target.subarray(0, whole.length - 1)).equals(whole.subarray(1))).toBe(true);
    expect(target.subarray(whole.length - 1).every((byte) => byte === 9)).toBe(true);
    file.syncData();
    file.syncAll();
    file.close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("reserve their space without a change of content, and are cut", () => {
    const path = join(dir, "space");
    const file = open(path, { create: true });
    file.write(0, [new Uint8Array([1, 2, 3])]);
    file.preallocate(1 << 20);
    expect(file.size()).toBe(1 << 20);
    expect(statSync(path).blocks * 512).toBeGreaterThanOrEqual(1 << 20);
    file.resize(2);
    expect([...readFileSync(path)]).toEqual([1, 2]);
    file.close();
  });

  test("take aligned memory past the page cache, and say EINVAL to any other", () => {
    const path = join(dir, "direct");
    writeFileSync(path, Buffer.alloc(16_384));
    const file = open(path, { direct: true, dataSync: true });
    const bytes = allocateAligned(8192, 4096);
    expect(offsetToBoundary(bytes, 4096)).toBe(0);
    expect(offsetToBoundary(bytes.subarray(1), 4096)).toBe(4095);
    bytes.set(randomBytes(8192));
    file.write(4096, [bytes.subarray(0, 4096), bytes.subarray(4096)]);
    expect(readFileSync(path).subarray(4096, 12_288).equals(Buffer.from(bytes))).toBe(true);
    expect(codeOf(() => file.write(0, [bytes.subarray(1, 514)]))).toBe("EINVAL");
    file.close();
  });

  test("give errors by the name of their errno", () => {
    mkdirSync(join(dir, "folder"));
    writeFileSync(join(dir, "plain"), "x");
    symlinkSync(join(dir, "plain"), join(dir, "link"));
    expect(codeOf(() => open(join(dir, "missing"), {}))).toBe("ENOENT");
    expect(codeOf(() => open(join(dir, "plain"), { create: true }))).toBe("EEXIST");
    expect(codeOf(() => open(join(dir, "plain", "x"), {}))).toBe("ENOTDIR");
    expect(codeOf(() => open(join(dir, "folder"), {}))).toBe("EISDIR");
    expect(codeOf(() => open(join(dir, "plain"), { write: false, directory: true }))).toBe("ENOTDIR");
    expect(codeOf(() => open(join(dir, "link"), {}))).toBe("ELOOP");
    expect(codeOf(() => open(`${dir}/a\0b`, {}))).toBe("EINVAL");
    expect(codeOf(() => open(join(dir, "x".repeat(300)), { create: true }))).toBe("ENAMETOOLONG");
    const file = open(join(dir, "plain"), { write: false });
    expect(codeOf(() => file.write(0, [new Uint8Array(1)]))).toBe("EBADF");
    expect(codeOf(() => file.resize(0))).toBe("EINVAL");
    for (const offset of [-1, 0.5, Number.NaN, 2 ** 53])
      expect(codeOf(() => file.read(offset, new Uint8Array(1)))).toBe("EINVAL");
    file.close();
    expect(codeOf(() => file.close())).toBe("EBADF");
    expect(codeOf(() => file.size())).toBe("EBADF");
  });

  test("say that a full device is full", () => {
    const full = open("/dev/full", {});
    expect(codeOf(() => full.write(0, [new Uint8Array(10)]))).toBe("ENOSPC");
    full.close();
  });

  test("answer a caller's mistake with an exception, not with the end of the process", () => {
    const file = open(join(dir, "plain"), {});
    const wrong = file as unknown as Record<"write" | "read" | "resize", (...values: unknown[]) => void>;
    for (const value of [undefined, null, "text", {}]) {
      expect(() => wrong.write(0, value)).toThrow();
      expect(() => wrong.read(0, value)).toThrow();
      expect(() => wrong.resize(value)).toThrow();
    }
    expect(readFileSync(join(dir, "plain"), "utf8")).toBe("x");
    file.close();
  });

  test("are locked by one opener, also against others of the same process", () => {
    const path = join(dir, "lock");
    writeFileSync(path, "");
    const [first, second] = [open(path, {}), open(path, {})];
    expect(first.tryLock()).toBe(true);
    expect(first.tryLock()).toBe(true);
    expect(second.tryLock()).toBe(false);
    // Another descriptor of the file that is closed takes nothing from the owner.
    open(path, {}).close();
    expect(second.tryLock()).toBe(false);
    first.close();
    expect(second.tryLock()).toBe(true);
    second.close();
  });

  test("are closed, and their locks given free, when the thread that opened them ends", async () => {
    const path = join(dir, "worker-lock");
    writeFileSync(path, "");
    const code = `const { parentPort, workerData } = require("node:worker_threads");
      const { openFile } = require(workerData.loader);
      globalThis.kept = openFile(workerData.path, { write: true, create: false, direct: false, dataSync: false, directory: false });
      parentPort.postMessage(globalThis.kept.tryLock());
      setInterval(() => {}, 1000);`;
    const worker = new Worker(code, { eval: true, workerData: { loader: loaderOfAddon, path } });
    expect((await once(worker, "message"))[0]).toBe(true);
    const other = open(path, {});
    expect(other.tryLock()).toBe(false);
    await worker.terminate();
    expect(other.tryLock()).toBe(true);
    other.close();
  });
});
