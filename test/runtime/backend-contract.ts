/** What every LogBackend over a real engine does, on the engine's thread and on another one. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import type { Guards } from "../../src/core/guards.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import type { AppendOrder, AppendResult, LogBackend } from "../../src/transport/backend.ts";
import { appendWhenLed, hashing, type LoneNode, makeTempDir, startLoneNode } from "./lone-node.ts";
import { batchesFrom } from "./steps.ts";

export interface OpenedBackend {
  readonly backend: LogBackend;
  close(): void;
}

export function append(backend: LogBackend, value: string | Uint8Array, order?: AppendOrder): Promise<AppendResult> {
  const batch = encodeBatch([{ value }]);
  const checked = { batch, crc32c: hashing.crc32c(batch), recordCount: 1 };
  return new Promise((resolve) => backend.append(checked, undefined, resolve, order));
}

/** One record with guards. */
export function appendGuarded(backend: LogBackend, guards: Guards): Promise<AppendResult> {
  const batch = encodeBatch([{ value: "x" }]);
  const checked = { batch, crc32c: hashing.crc32c(batch), recordCount: 1 };
  return new Promise((resolve) => backend.append(checked, guards, resolve));
}

/** Holds back while there is no room, as a stream does. */
async function appendWithRoom(
  backend: LogBackend,
  value: string | Uint8Array,
): Promise<{ answer: Promise<AppendResult> }> {
  while (!backend.hasRoom()) await new Promise<void>((resolve) => backend.whenRoom(resolve));
  return { answer: append(backend, value) };
}

async function readPositions(backend: LogBackend, from: number, bytesMax: number): Promise<number[]> {
  const positions: number[] = [];
  for (let next = from; ; ) {
    const batches = await batchesFrom(backend, next, bytesMax);
    if (batches.length === 0) return positions;
    for (const batch of batches) {
      expect(hashing.crc32c(batch.batch)).toBe(batch.crc32c);
      positions.push(batch.firstPosition);
      next = batch.firstPosition + batch.recordCount;
    }
  }
}

export function describeBackend(name: string, open: (node: LoneNode) => Promise<OpenedBackend>): void {
  describe(name, () => {
    let temp: ReturnType<typeof makeTempDir>;
    let node: LoneNode;
    let opened: OpenedBackend;
    let backend: LogBackend;

    beforeEach(async () => {
      temp = makeTempDir();
      node = await startLoneNode(temp.dir);
      await appendWhenLed(node.engine, ["first"]);
      opened = await open(node);
      backend = opened.backend;
    });

    afterEach(async () => {
      opened.close();
      await node.close();
      temp.remove();
    });

    test("appends get dense positions in the order of the calls, and are visible when they are answered", async () => {
      const answers = Array.from({ length: 300 }, (_, index) => append(backend, `${index}`));
      for (const [index, answer] of (await Promise.all(answers)).entries()) {
        expect(answer).toMatchObject({ kind: "acknowledged", firstPosition: 2 + index, recordCount: 1 });
      }
      expect(backend.bounds()).toEqual({ head: 1, tail: 302 });
      expect(await readPositions(backend, 1, 4096)).toEqual(Array.from({ length: 301 }, (_, index) => index + 1));
    });

    test("a caller that waits for room appends any number without a refusal, and reads it all back", async () => {
      const value = Buffer.alloc(20_000, 7);
      const count = 2 * Math.ceil(limits.proposalQueueBytes / value.length);
      const answers: Promise<AppendResult>[] = [];
      for (let index = 0; index < count; index++) answers.push((await appendWithRoom(backend, value)).answer);
      expect((await Promise.all(answers)).every(({ kind }) => kind === "acknowledged")).toBe(true);
      const positions = await readPositions(backend, 2, limits.messageEntryBytes);
      expect(positions).toEqual(Array.from({ length: count }, (_, index) => index + 2));
    });

    test("listeners hear that the tail moved until they are taken off", async () => {
      const heard: number[] = [];
      const off = backend.onTail(() => heard.push(backend.bounds().tail));
      await append(backend, "second");
      await append(backend, "third");
      off();
      await append(backend, "fourth");
      expect(heard).toEqual([3, 4]);
    });

    test("a linearizable read sees what was appended elsewhere before it", async () => {
      await appendWhenLed(node.engine, ["by another"]);
      await backend.linearize();
      expect(backend.bounds().tail).toBe(3);
      expect(await readPositions(backend, 2, 1)).toEqual([2]);
      expect(await batchesFrom(backend, 3, 1)).toEqual([]);
    });

    test("a read that its caller gives up ends as CANCELLED", async () => {
      const aborted = new AbortController();
      const ready = backend.linearize(aborted.signal);
      aborted.abort();
      await expect(ready).rejects.toMatchObject({ code: "CANCELLED" });
      await expect(backend.linearize(aborted.signal)).rejects.toMatchObject({ code: "CANCELLED" });
      await backend.linearize();
    });

    test("status is that of the node", async () => {
      await append(backend, "second");
      expect(await backend.status()).toMatchObject({ id: "node", role: "leader", tail: 3, pid: process.pid });
    });

    test("when the node stops everything is rejected, and whoever waits for room goes on", async () => {
      const waiting = append(backend, "x");
      node.engine.stop(new PaxlogError("CLOSED", "stopped by the test"));
      expect(await waiting).toMatchObject({ kind: "failed", error: { code: "CLOSED" } });
      await expect(backend.linearize()).rejects.toMatchObject({ code: "CLOSED" });
      expect(await append(backend, "y")).toMatchObject({ kind: "failed", error: { code: "CLOSED", outcome: "none" } });
      expect(backend.hasRoom()).toBe(true);
      await expect(batchesFrom(backend, 1, 1)).rejects.toMatchObject({
        code: "CLOSED",
      });
    });
  });
}
