// Goal: the flags of read and tail name the records that they say, and tail goes on where it was. Method: one node that is alone and
// the built command line; the parsers of times by themselves.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { rangeOf, time } from "../../src/cli/read/arguments.ts";
import { Running, runCli } from "../cluster/harness.ts";
import { address, log, temp } from "./served-log.ts";

beforeAll(async () => {
  for (const value of "abcdefgh")
    await log.append({ value, type: value < "e" ? "early" : "late", tags: [value, "all"] });
});

const read = async (...flags: string[]) => {
  const { code, stdout } = await runCli(["read", "--to", address, ...flags]);
  return `${code} ${stdout.replaceAll("\n", "")}`;
};

test("flags choose where a read begins and ends, its order, and what it finds", async () => {
  expect(await read("--last", "3")).toBe("0 fgh");
  expect(await read("--reverse", "--last", "3")).toBe("0 hgf");
  expect(await read("--reverse", "--from", "3", "--before", "6")).toBe("0 edc");
  expect(await read("--since", "1h", "--limit", "2")).toBe("0 ab");
  expect(await read("--type", "late", "--tag", "all", "--reverse", "--limit", "2")).toBe("0 hg");
  expect(await read("--query", '[{"tags":["b"]},{"types":["late"],"tags":["f"]}]')).toBe("0 bf");
});

test("flags that contradict each other are refused before anything is asked", () => {
  const none = { type: [], tag: [] };
  expect(() => rangeOf({ ...none, from: 1, last: 2 })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  expect(() => rangeOf({ ...none, before: 1, until: new Date() })).toThrow("choose one");
  expect(() => rangeOf({ ...none, tag: ["a"], query: { tags: ["b"] } })).toThrow("--query");
  expect(() => rangeOf({ ...none, local: true, atLeast: 3 })).toThrow("--at-least");
});

test("times are dates, or so long ago", () => {
  expect(time("2026-03-01T12:00:00Z").getTime()).toBe(Date.UTC(2026, 2, 1, 12));
  expect(time("15m", 1_000_000).getTime()).toBe(100_000);
  expect(time("1d", 86_400_000).getTime()).toBe(0);
  for (const wrong of ["yesterday", "15", "15x", "2d"]) expect(() => time(wrong, 86_400_000)).toThrow("so long ago");
});

test("tail goes on where the last run of it was, and nothing else is printed twice or missed", async () => {
  const file = join(temp.path, "place");
  const args = ["tail", "--to", address, "--last", "2", "--type", "late", "--json", "--resume", file];
  const first = new Running(args);
  expect([await first.line(0), await first.line(1)]).toMatchObject([{ value: "g" }, { value: "h" }]);
  expect(await first.stop("SIGINT")).toBe(0);
  expect(readFileSync(file, "utf8")).toBe("9\n");
  await log.append([{ value: "x" }, { value: "i", type: "late" }]);
  const second = new Running(args);
  expect(await second.line(0)).toMatchObject({ value: "i", position: 10 });
  expect(await second.stop("SIGINT")).toBe(0);
  writeFileSync(file, "no position\n");
  const broken = await runCli(args);
  expect([broken.code, broken.error().error]).toEqual([2, "INVALID_ARGUMENT"]);
});
