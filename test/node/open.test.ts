// Goal: a log inside of the user's program behaves as a library should: no port, no signal handlers, no reason to stay alive when
// nothing is under way, never a reason to die. Method: the built files, in this process and in programs of their own.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { PaxlogError } from "../../src/base/errors.ts";
import { collect, text } from "../client/fixture.ts";
import { freePorts } from "../cluster/ports.ts";
import { open, temp } from "./opened-logs.ts";
import { runScript } from "./scripts.ts";

/** The built files have classes of their own, so an error is known by its fields. */
async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => "resolved",
    (error: PaxlogError) => error.code,
  );
}

describe.each([true, false])("with threads: %s", { timeout: 60_000 }, (threads) => {
  const options = () => ({ dir: join(temp.path, "log"), threads });

  test("records are appended, read and followed, and there again when it is opened again", async () => {
    const log = await open(options());
    expect(await log.append({ type: "A", tags: ["t"], value: "one" })).toMatchObject({ position: 1 });
    expect(await log.append([{ value: "two" }, { value: "three" }])).toMatchObject({ first: 2, last: 3 });
    const many = await Promise.all(Array.from({ length: 5000 }, (_, index) => log.append({ value: `${index}` })));
    expect(many.map(({ position }) => position)).toEqual(many.map((_, index) => 4 + index));
    expect(await log.tail()).toMatchObject({ head: 1, tail: 5004 });
    expect(await collect(log.read({ limit: 3 }), (record) => text(record.value))).toEqual(["one", "two", "three"]);

    const following = collect(log.read({ from: 5003, follow: true }), (record) => text(record.value), 3);
    await log.append([{ value: "four" }, { value: "five" }]);
    expect(await following).toEqual(["4999", "four", "five"]);
    expect(await log.status()).toMatchObject({ id: "node", role: "leader", leaderAddress: "", pid: process.pid });
    await log.close();

    const again = await open(options());
    expect(await again.tail()).toMatchObject({ head: 1, tail: 5006 });
    expect(await collect(again.read({ from: 5004 }), (record) => text(record.value))).toEqual(["four", "five"]);
  });

  test("records of a megabyte and readers that stop half way do no harm", async () => {
    const log = await open(options());
    const value = Buffer.alloc(1_000_000, 1);
    await Promise.all(Array.from({ length: 40 }, () => log.append({ value })));
    const slow = log.read()[Symbol.asyncIterator]();
    expect((await slow.next()).value).toMatchObject({ position: 1 });
    expect((await collect(log.read(), (record) => record.value.length)).every((size) => size === 1_000_000)).toBe(true);
    await slow.return?.();
  });

  test("closing lets what was called end, rejects the rest by name, and may be done twice", async () => {
    const log = await open(options());
    const before = log.append({ value: "x" });
    const following = collect(log.read({ follow: true }), (record) => record.position);
    following.catch(() => {});
    await Promise.all([log.close(), log.close()]);
    expect(await before).toMatchObject({ position: 1 });
    expect(await codeOf(following)).toBe("CLOSED");
    expect(await codeOf(log.append({ value: "y" }))).toBe("CLOSED");
    expect(await codeOf(log.tail())).toBe("CLOSED");
    expect(await log.closed).toBeUndefined();
  });

  test("a directory is opened once; one that cannot be used is an error with its name", async () => {
    await open(options());
    expect(await codeOf(open(options()))).toBe("DIRECTORY_IN_USE");
    expect(await codeOf(open({ ...options(), dir: "/dev/null/x" }))).toBe("DIRECTORY_UNUSABLE");
    expect(await codeOf(open({ ...options(), signal: AbortSignal.abort() }))).toBe("CANCELLED");
  });

  test("it opens no port, handles no signals and lets the program end when nothing is under way", async () => {
    const program = `
      const log = await open({ dir: process.argv[1], threads: ${threads} });
      await log.append({ value: "x" });
      for await (const record of log.read()) console.log(record.position);
      console.log(process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP")).length);
      console.log(process.listenerCount("SIGINT") + process.listenerCount("SIGTERM"));`;
    const { code, stdout, stderr, tookMs } = await runScript(program, [join(temp.path, "log")]);
    expect([code, stdout, stderr]).toEqual([0, "1\n0\n0\n", ""]);
    expect(tookMs).toBeLessThan(15_000);
  });

  test("what is under way keeps the program alive", async () => {
    const program = `
      const log = await open({ dir: process.argv[1], threads: ${threads} });
      setTimeout(() => log.append({ value: "late" }), 300);
      for await (const record of log.read({ follow: true, limit: 1 })) console.log("read", record.position);
      log.append({ value: "not awaited" }).then(({ position }) => console.log("appended", position));`;
    const { code, stdout, stderr } = await runScript(program, [join(temp.path, "log")]);
    expect([code, stdout, stderr]).toEqual([0, "read 1\nappended 2\n", ""]);
  });

  test("the directory is that of the moment of opening", async () => {
    const program = `
      process.chdir(process.argv[1]);
      const opening = open({ dir: "log", threads: ${threads}, segmentBytes: 1 << 20 });
      process.chdir("/");
      const log = await opening;
      for (let index = 0; index < 20; index += 1) await log.append({ value: "x".repeat(100_000) });
      console.log(log.dir);
      await log.close();`;
    const { code, stdout } = await runScript(program, [temp.path]);
    expect([code, stdout]).toEqual([0, `${join(temp.path, "log")}\n`]);
    expect(existsSync(join(temp.path, "log"))).toBe(true);
  });

  test("a disk that fails rejects what is called, by name, and leaves the program alive", async () => {
    const program = `
      const log = await open({ dir: process.argv[1], threads: ${threads} });
      // A segment has 64 MiB: files of 20 MiB are too short for it. What is reserved at the start was not.
      (await import("node:child_process")).execFileSync("prlimit", ["--pid", String(process.pid), "--fsize=20971520"]);
      const told = async (promise) => promise.then(() => "resolved", ({ code, outcome }) => code + " " + outcome);
      for (;;) {
        const outcome = await told(log.append({ value: "x".repeat(100_000) }));
        if (outcome === "resolved") continue;
        console.log(outcome.split(" ")[0]);
        break;
      }
      const began = performance.now();
      console.log(await told(log.append({ value: "x" })), await told(log.tail()));
      console.log(await told((async () => { for await (const record of log.read()) {} })()));
      console.log((await log.closed).code, performance.now() - began < 8000);
      await log.close();
      console.log("alive");`;
    const { code, stdout, stderr } = await runScript(program, [join(temp.path, "log")]);
    expect(stderr).toBe("");
    const failed = "STORAGE_FAILED none";
    expect(stdout.split("\n")).toEqual([
      "STORAGE_FAILED",
      `${failed} ${failed}`,
      failed,
      "STORAGE_FAILED true",
      "alive",
      "",
    ]);
    expect(code).toBe(0);
  });
});

describe("as nodes of a cluster", { timeout: 60_000 }, () => {
  test("three in one process: any of them appends and reads, and goes on when another is closed", async () => {
    const [a, b, c] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
    const cluster = { a: a!, b: b!, c: c! };
    const nodes = await Promise.all(
      ["a", "b", "c"].map((node) => open({ dir: join(temp.path, node), node, cluster, listen: "127.0.0.1:0" })),
    );
    const positions = await Promise.all(nodes.map((log) => log.append({ value: "x" })));
    expect(positions.map(({ position }) => position).sort()).toEqual([1, 2, 3]);
    for (const log of nodes) expect(await log.tail()).toMatchObject({ head: 1, tail: 4 });
    const leader = await nodes[0]!.status();
    const leading = nodes.findIndex((log) => log.clientAddress === leader.leaderAddress);
    await nodes[leading]!.close();
    const others = nodes.filter((_, index) => index !== leading);
    expect((await others[0]!.append({ value: "y" })).position).toBeGreaterThanOrEqual(4);
    const seen = await collect(others[1]!.read(), (record) => record.position);
    expect(seen.slice(0, 4)).toEqual([1, 2, 3, 4]);
  });

  test("in a cluster that has not begun an append says for whom it waits", async () => {
    const [a, b, c] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
    const cluster = { a: a!, b: b!, c: c! };
    const log = await open({ dir: join(temp.path, "a"), node: "a", cluster, listen: "127.0.0.1:0", deadlineMs: 500 });
    const error = await log.append({ value: "x" }).catch((cause: PaxlogError) => cause);
    expect(error).toMatchObject({ code: "NOT_LEADER", outcome: "none", facts: { missing: "b, c" } });
    expect((error as PaxlogError).message).toMatch(/has not begun: node a has not met b, c yet/);
    await log.close();
  });

  test("what does not fit together is named before anything is started", async () => {
    const cluster = { a: "127.0.0.1:1", b: "127.0.0.1:2" };
    expect(await codeOf(open({ dir: temp.path, cluster }))).toBe("INVALID_ARGUMENT");
    expect(await codeOf(open({ dir: temp.path, node: "z", cluster }))).toBe("INVALID_ARGUMENT");
    expect(await codeOf(open({ dir: temp.path, listen: "0.0.0.0:0" }))).toBe("INSECURE_ADDRESS");
    expect(await codeOf(open({ dir: temp.path, deadlineMs: -1 }))).toBe("INVALID_ARGUMENT");
  });
});
