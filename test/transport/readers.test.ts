// Goal: reads that share a node share its memory and its time: those that stall leave room for the rest, heartbeats are no burst,
// those who wait for their turn all have it, and a reader hears when it falls behind. Method: the parts by themselves, and the service
// over a log in memory.
import { once } from "node:events";
import { Client, credentials } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { logServicePaths, type ReadRequest, readRequestCodec, readResponseCodec } from "../../src/format/api-codec.ts";
import { decodeBatch } from "../../src/format/batch-decode.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { type ClientServer, startClientServer } from "../../src/transport/client-server.ts";
import { Readers } from "../../src/transport/readers.ts";
import { hashing } from "../storage/hashing.ts";
import { MemoryBackend } from "./memory-backend.ts";

describe("what reads share", () => {
  test("memory: one that stalls alone has all it may have, a thousand stay within what there is for all", () => {
    const readers = new Readers();
    expect(readers.bufferBytes).toBe(limits.readerBufferBytes);
    let waiting = 0;
    for (let reader = 0; reader < 1000; reader += 1) {
      const bytes = readers.bufferBytes;
      expect(bytes).toBeGreaterThanOrEqual(limits.readerBufferBytesMin);
      readers.wait(bytes);
      waiting += bytes;
    }
    expect(waiting).toBeLessThanOrEqual(limits.readersBufferBytes + 1000 * limits.readerBufferBytesMin);
    readers.wait(-waiting);
    expect(readers.bufferBytes).toBe(limits.readerBufferBytes);
  });

  /** Twenty reads at the tail and twenty of the history, whose steps take so long. What was served in which order, in how many turns. */
  async function served(stepMs: number): Promise<{ order: ("live" | "history")[]; loops: number }> {
    let clock = 1000;
    const now = vi.spyOn(performance, "now").mockImplementation(() => clock);
    try {
      const { turns } = new Readers();
      const order: ("live" | "history")[] = [];
      let loops = 0;
      const count = (): void => {
        loops += 1;
        if (order.length < 40) setImmediate(count);
      };
      setImmediate(count);
      const step = async (kind: "live" | "history"): Promise<void> => {
        if (!turns.hasTime()) await turns.turn(kind);
        order.push(kind);
        clock += stepMs;
      };
      const history = Array.from({ length: 20 }, () => step("history"));
      const live = Array.from({ length: 20 }, () => step("live"));
      await Promise.all([...history, ...live]);
      return { order, loops };
    } finally {
      now.mockRestore();
    }
  }

  const among = (order: readonly string[], count: number, kind: string): number =>
    order.slice(0, count).filter((each) => each === kind).length;

  test("time: steps leave every turn of the event loop to the rest, and those at the tail go first", async () => {
    const { order, loops } = await served(limits.readTurnMs / 4);
    // Four of such steps in a turn; each turn has one of the history, however many wait at the tail.
    expect(loops).toBeGreaterThanOrEqual(8);
    expect(order.length).toBe(40);
    expect(among(order, 28, "live")).toBeGreaterThanOrEqual(17);
    expect(among(order, 28, "history")).toBeGreaterThanOrEqual(7);
  });

  test("time: where a step takes more than a turn those at the tail have every second one", async () => {
    const { order, loops } = await served(2 * limits.readTurnMs);
    expect(loops).toBeGreaterThanOrEqual(39);
    expect(order.length).toBe(40);
    expect(among(order, 20, "live")).toBeGreaterThanOrEqual(9);
    expect(among(order, 20, "history")).toBeGreaterThanOrEqual(9);
  });

  test("time: where there is enough of it nobody waits", () => {
    const { turns } = new Readers();
    expect(turns.hasTime()).toBe(true);
    expect(turns.hasTime()).toBe(true);
  });

  test("a clock: each hears its heartbeats until it says that it is done", { timeout: 20_000 }, async () => {
    const readers = new Readers();
    const heard = [0, 0];
    const offs = heard.map((_, index) => readers.onBeat(() => (heard[index]! += 1)));
    offs[1]!();
    while (heard[0]! < 2) await new Promise((resolve) => setTimeout(resolve, 50));
    offs[0]!();
    expect(heard[1]).toBe(0);
  });
});

describe("a read", () => {
  let backend: MemoryBackend;
  let server: ClientServer;
  let client: Client;

  beforeEach(async () => {
    backend = new MemoryBackend();
    server = await startClientServer({ listen: "127.0.0.1:0", backend, hashing, log: () => {} });
    client = new Client(server.address, credentials.createInsecure());
  });

  afterEach(async () => {
    client.close();
    await server.close();
  });

  const put = (value: string, tags: string[] = []) => {
    const batch = encodeBatch([{ value, tags }]);
    backend.put(batch, hashing.crc32c(batch), 1);
  };
  const identity = (bytes: Buffer) => bytes;
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
  const open = (request: Partial<ReadRequest>) => {
    const whole = { logId: 1, from: 0, limit: 0, follow: false, freshness: "local" as const };
    const bytes = readRequestCodec.encode({ ...whole, ...request });
    return client.makeServerStreamRequest(logServicePaths.read, identity, identity, bytes);
  };
  const responseOf = (bytes: Buffer) => {
    const decoded = readResponseCodec.decode(bytes);
    if (decoded.kind !== "ok") throw new Error(decoded.reason);
    return decoded.value;
  };

  test("that had caught up and is served from disk again hears that it fell behind, and when it caught up again", async () => {
    put("a");
    const read = backend.read.bind(backend);
    let fromDisk = false;
    backend.read = (step) => ({ ...read(step), fromDisk });
    const told: string[] = [];
    const stream = open({ follow: true });
    stream.on("error", () => {});
    for await (const bytes of stream) {
      const { batches, caughtUp, fellBehind } = responseOf(bytes);
      told.push(`${batches.length} ${fellBehind ? "behind " : ""}${caughtUp ? "caught up" : ""}`);
      if (told.length === 1) {
        fromDisk = true;
        put("b");
      }
      if (told.length === 2) {
        fromDisk = false;
        put("c");
        break;
      }
    }
    expect(told).toEqual(["1 caught up", "1 behind caught up"]);
  });

  test("of everything at the tail is sent what another one there was sent, made once", async () => {
    const followers = Array.from({ length: 5 }, () => open({ follow: true }));
    const found = followers.map(() => [] as string[]);
    for (const [index, stream] of followers.entries()) {
      stream.on("error", () => {});
      stream.on("data", (bytes: Buffer) => {
        for (const { batch } of responseOf(bytes).batches) found[index]!.push(text(decodeBatch(batch).record(0).value));
      });
    }
    await Promise.all(followers.map((stream) => once(stream, "data")));
    const read = backend.read.bind(backend);
    let reads = 0;
    backend.read = (step) => {
      reads += 1;
      return read(step);
    };
    const values = ["a", "b", "c", "d"];
    for (const [index, value] of values.entries()) {
      put(value);
      await vi.waitFor(() => expect(found.map((each) => each.length)).toEqual(followers.map(() => index + 1)), 10_000);
    }
    expect(found).toEqual(followers.map(() => values));
    expect(reads).toBe(values.length);
    for (const stream of followers) stream.cancel();
  });

  test("tells where it would go on: behind the last record of a limit, and behind what a query searched in vain", async () => {
    for (let index = 0; index < 10; index += 1) put(`${index}`, index === 2 ? ["x"] : []);
    const nextOf = async (request: Partial<ReadRequest>) => {
      let next: number | undefined;
      for await (const bytes of open(request)) next = responseOf(bytes).next;
      return next;
    };
    const query = { items: [{ types: [], tags: ["x"] }] };
    expect(await nextOf({ limit: 4 })).toBe(5);
    expect(await nextOf({ query })).toBe(11);
    expect(await nextOf({ query, limit: 1 })).toBe(4);
    expect(await nextOf({ direction: "backward", limit: 4 })).toBe(6);
    expect(await nextOf({ direction: "backward", query, limit: 1 })).toBe(2);
  });
});
