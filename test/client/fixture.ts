import { afterEach } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { connectWith } from "../../src/client/connect.ts";
import type { ConnectOptions, Log } from "../../src/client/log.ts";
import { hashing } from "../storage/hashing.ts";
import { type MemoryLog, TestNode } from "./test-node.ts";

/** Nodes and logs that are gone when the test is. */
export function fixture(): {
  node(log?: MemoryLog): Promise<TestNode>;
  open(nodes: readonly TestNode[], options?: ConnectOptions): Promise<Log>;
} {
  const nodes: TestNode[] = [];
  const logs: Log[] = [];
  afterEach(async () => {
    for (const node of nodes.splice(0)) node.crash();
    await Promise.all(logs.splice(0).map((log) => log.close()));
  });
  return {
    node: async (log) => {
      const node = await new TestNode(log).start();
      nodes.push(node);
      return node;
    },
    open: async (opened, options) => {
      const addresses = opened.map((node) => node.address);
      const log = await connectWith(hashing, addresses, { deadlineMs: 20_000, closeMs: 200, ...options });
      logs.push(log);
      return log;
    },
  };
}

/** The PaxlogError with which it fails. */
export async function errorOf(promise: Promise<unknown>): Promise<PaxlogError> {
  const result = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ("value" in result) throw new Error(`did not fail but gave ${JSON.stringify(result.value)}`);
  if (!(result.error instanceof PaxlogError)) throw result.error;
  return result.error;
}

export async function collect<T, U>(
  items: AsyncIterable<T>,
  map: (item: T) => U,
  countMax = Number.POSITIVE_INFINITY,
): Promise<U[]> {
  const all: U[] = [];
  for await (const item of items) {
    all.push(map(item));
    if (all.length >= countMax) break;
  }
  return all;
}

export const text = (value: Uint8Array): string => Buffer.from(value).toString();

/** Waits until it is true; a test that waits for nothing fails by its time limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}
