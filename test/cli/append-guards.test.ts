// Goal: the guards of `paxlog append` let through what the log allows, refuse the rest as a whole, and say by exit code and facts
// what was in the way. Method: one node that is alone, the built command line.
import { expect, test } from "vitest";
import { type CliResult, runCli } from "../cluster/harness.ts";
import { address, tailOf } from "./served-log.ts";

const append = (input: string, ...flags: string[]): Promise<CliResult> =>
  runCli(["append", "--to", address, "--json", ...flags], input);

/** The append failed as a whole, and the log is as it was. */
async function expectRefused(result: CliResult, tail: number, error: string, facts: object): Promise<void> {
  expect(result.error()).toMatchObject({ error, outcome: "none", retryable: false, facts });
  expect(result.code).toBe(error === "FENCED" ? 9 : 8);
  expect(result.stdout).toBe("");
  expect(await tailOf()).toBe(tail);
}

test("--stream puts the lines into a stream, --expected-revision lets only one of two writers through", {
  timeout: 90_000,
}, async () => {
  const tail = await tailOf();
  const opened = await append("a\nb\n", "--stream", "cart:1", "--tag", "x", "--expected-revision", "no-stream");
  expect(opened.json()).toEqual([
    { line: 1, position: tail },
    { line: 2, position: tail + 1 },
  ]);
  const [record] = (await runCli(["read", "--to", address, "--from", String(tail), "--limit", "1", "--json"])).json();
  expect(record).toMatchObject({ tags: ["x", "cart:1"] });

  const refusals = [
    ["no-stream", { tag: "cart:1", actual: tail + 1 }],
    [String(tail), { tag: "cart:1", expected: tail, actual: tail + 1 }],
  ] as const;
  for (const [expected, facts] of refusals) {
    const result = await append("c\nd\n", "--stream", "cart:1", "--expected-revision", expected);
    await expectRefused(result, tail + 2, "STREAM_REVISION_MISMATCH", facts);
  }
  for (const expected of [String(tail + 1), "stream-exists", "any"]) {
    expect((await append("e\n", "--stream", "cart:1", "--expected-revision", expected)).code).toBe(0);
  }
  const missing = await append("f\n", "--stream", "cart:none", "--expected-revision", "stream-exists");
  await expectRefused(missing, tail + 5, "STREAM_REVISION_MISMATCH", { tag: "cart:none", actual: 0 });
});

test("--expected-tail lets through who knows the whole log", { timeout: 90_000 }, async () => {
  const tail = await tailOf();
  expect((await append("a\nb\n", "--expected-tail", String(tail))).code).toBe(0);
  const late = await append("c\n", "--expected-tail", String(tail));
  await expectRefused(late, tail + 2, "TAIL_MISMATCH", { expected: tail, actual: tail + 2 });
});

test("--unless-type and --unless-tag refuse where a record has one of the types and all of the tags", {
  timeout: 90_000,
}, async () => {
  const taken = ["--type", "NameTaken", "--tag", "name:ada"];
  const unlessTaken = ["--unless-type", "NameTaken", "--unless-type", "NameHeld", "--unless-tag", "name:ada"];
  const tail = await tailOf();
  expect((await append("1\n", ...taken, ...unlessTaken)).code).toBe(0);
  await expectRefused(await append("2\n", ...taken, ...unlessTaken), tail + 1, "CONDITION_FAILED", { position: tail });
  expect((await append("3\n", ...taken, ...unlessTaken, "--after", String(tail))).code).toBe(0);
  expect((await append("4\n", "--unless-type", "Other", "--unless-tag", "name:ada")).code).toBe(0);
  expect((await append("5\n", "--unless-tag", "name:ada", "--unless-tag", "name:bob")).code).toBe(0);
});

test("without a session the same guards hold", { timeout: 90_000 }, async () => {
  const tail = await tailOf();
  const refused = await append("a\n", "--no-session", "--expected-tail", String(tail + 1));
  await expectRefused(refused, tail, "TAIL_MISMATCH", { expected: tail + 1, actual: tail });
  expect((await append("a\n", "--no-session", "--expected-tail", String(tail))).json()).toEqual([
    { line: 1, position: tail },
  ]);
});

test("an input that is larger than one append may be is refused before anything is written", {
  timeout: 90_000,
}, async () => {
  const tail = await tailOf();
  const result = await append(`${"x".repeat(1024)}\n`.repeat(2100), "--stream", "large", "--expected-revision", "any");
  expect(result.error()).toMatchObject({ error: "BATCH_TOO_LARGE" });
  expect(result.code).toBe(2);
  expect(await tailOf()).toBe(tail);
});

test("--fencing-token goes on until a larger one has taken over, and then stops at once", {
  timeout: 90_000,
}, async () => {
  const raised = await runCli(["fence", "7", "--to", address, "--json"]);
  expect(raised.json()).toEqual([{ fence: 7, tail: await tailOf() }]);
  expect((await append("a\nb\n", "--fencing-token", "7")).json()).toMatchObject([{ line: 1 }, { line: 2 }]);
  const tail = await tailOf();
  const fenced = await append("c\nd\n", "--fencing-token", "6");
  expect(fenced.json()[0]).toMatchObject({ line: 1, error: "FENCED", outcome: "none", facts: { token: 6, fence: 7 } });
  expect(fenced.code).toBe(9);
  const all = await append("e\n", "--fencing-token", "6", "--expected-tail", String(tail));
  await expectRefused(all, tail, "FENCED", { token: 6, fence: 7 });
  expect((await runCli(["fence", "6", "--to", address])).code).toBe(9);
});
