// Goal: however a log ends, under load or by itself, its calls end by name and the program goes on.
// Method: programs of their own, which must come to their own end: what fails here may end a process without a word.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { temp } from "./opened-logs.ts";
import { runScript } from "./scripts.ts";

const worker = new URL("../../dist/node/worker.js", import.meta.url).href;

/** The codes with which readers, followers, searches, appends and commands end that go on until the log does. */
const busy = `
  const value = new Uint8Array(4096);
  const records = (type) => Array.from({ length: 64 }, (_, index) => ({ type, tags: ["t" + (index % 8)], value }));
  const untilEnd = async (call) => {
    try {
      for (;;) await call();
    } catch ({ code, message }) {
      return code ?? message;
    }
  };
  const readAll = (log, options) => untilEnd(async () => {
    for await (const record of log.read(options));
  });
  const allOf = (log) => [
    readAll(log, {}), readAll(log, { follow: true }), readAll(log, { direction: "backward" }),
    readAll(log, { query: { types: ["A"], tags: ["t3"] } }),
    untilEnd(() => log.append(records("A"))),
    untilEnd(() => log.counter("c").fetchAdd(1)), untilEnd(() => log.counter("c").get()),
  ];`;

describe("a log ends under load", { timeout: 60_000 }, () => {
  test.each([{ threads: false }, { threads: true }])("closed, threads: $threads", async ({ threads }) => {
    const program = `${busy}
      const codes = new Set();
      for (const pauseMs of [0, 20, 150]) {
        const log = await open({ dir: process.argv[1], threads: ${threads}, segmentBytes: 1 << 20 });
        for (let index = 0; index < 8; index += 1) await log.append(records("B"));
        const calls = [...allOf(log), ...allOf(log)];
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        await log.close();
        for (const code of await Promise.all(calls)) codes.add(code);
      }
      console.log([...codes].join(" "));`;
    const { code, stdout, stderr } = await runScript(program, [join(temp.path, "log")]);
    expect([code, stdout, stderr]).toEqual([0, "CLOSED\n", ""]);
  });

  test("the engine's thread is lost: all calls end by name, on every thread", async () => {
    const signal = join(temp.path, "fall over");
    const workerFile = join(temp.path, "worker.mjs");
    const text = `
      import { existsSync } from "node:fs";
      import { workerData } from "node:worker_threads";
      import ${JSON.stringify(worker)};
      const look = () => {
        if (existsSync(${JSON.stringify(signal)})) throw new Error("fell over");
      };
      if (workerData.role === "engine") setInterval(look, 20);`;
    writeFileSync(workerFile, text);
    const program = `${busy}
      const { writeFileSync } = await import("node:fs");
      const [dir, workerUrl, signal] = process.argv.slice(1);
      const log = await open({ dir, workerUrl: new URL(workerUrl), listen: "127.0.0.1:0", layout: "spread" });
      await log.counter("c").fetchAdd(1);
      const remote = await connect([log.clientAddress], { deadlineMs: 500 });
      const calls = allOf(log);
      const remoteCalls = [untilEnd(() => remote.append(records("A"))), readAll(remote, {})];
      await new Promise((resolve) => setTimeout(resolve, 100));
      writeFileSync(signal, "");
      const { code, reason } = await log.closed;
      console.log(code, reason);
      console.log(new Set(await Promise.all(calls)));
      await Promise.all(remoteCalls);
      await remote.close();
      await log.close();`;
    const { code, stdout, stderr } = await runScript(program, [
      join(temp.path, "log"),
      pathToFileURL(workerFile).href,
      signal,
    ]);
    expect(existsSync(signal)).toBe(true);
    expect(stderr).toBe("");
    expect(stdout.split("\n")[0]).toBe("INVARIANT_BROKEN the engine thread of the node failed: fell over");
    expect(stdout.split("\n")[1]).toBe("Set(1) { 'INVARIANT_BROKEN' }");
    expect(code).toBe(0);
  });
});
