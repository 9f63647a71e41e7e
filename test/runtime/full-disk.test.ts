// Goal: a full disk stops appends by name and nothing else, and appends go on by themselves when a trim made room.
// Method: one node alone, in this thread, on a real directory with a quota.
import { afterEach, beforeEach, expect, test } from "vitest";
import { DirectoryQuota } from "../../src/base/directory-quota.ts";
import { limits } from "../../src/base/limits.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { append, appendWhenLed, type LoneNode, makeTempDir, startLoneNode } from "./lone-node.ts";
import { step } from "./steps.ts";

let temp: ReturnType<typeof makeTempDir>;
let node: LoneNode | undefined;
const quotaBytes = limits.quotaSegmentsMin * limits.segmentBytesMin;
const value = "v".repeat(100_000);

beforeEach(() => {
  temp = makeTempDir();
});

afterEach(async () => {
  await node?.close();
  temp.remove();
});

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; waited < 20_000; waited += 50) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`never: ${what}`);
}

test("a full quota refuses appends, serves reads and trims, and takes appends again", { timeout: 60_000 }, async () => {
  node = await startLoneNode(temp.dir, new NodeDisk(), new DirectoryQuota(quotaBytes));
  const { engine } = node;
  await appendWhenLed(engine, ["first"]);
  let refused: unknown;
  for (let count = 0; count < 100 && refused === undefined; count += 1) {
    const result = await append(engine, [value]);
    if (result.kind === "failed") refused = result.error;
  }
  expect(refused).toMatchObject({ code: "NO_SPACE", outcome: "none", retryable: true });
  const { tail } = engine.bounds();
  expect(engine.read(step(1)).batches.length).toBeGreaterThan(0);
  expect(await append(engine, ["x"])).toMatchObject({ kind: "failed", error: { code: "NO_SPACE" } });
  expect(engine.bounds().tail).toBe(tail);

  // A restart changes nothing of that.
  await node.close();
  node = await startLoneNode(temp.dir, new NodeDisk(), new DirectoryQuota(quotaBytes));
  const again = node.engine;
  await until("refused after a restart", async () => {
    const result = await append(again, [value]);
    return result.kind === "failed" && result.error.code === "NO_SPACE";
  });

  await again.retain({ kind: "trim", position: again.bounds().tail });
  await until("room again", async () => (await append(again, ["after"])).kind === "acknowledged");
  expect(again.bounds().head).toBeGreaterThan(1);
});
