// Goal: append, read and status say what the log did, line by line, and bad input changes nothing. Method: one node that is alone,
// the built command line, and raw calls where the client library would refuse to send.
import { randomBytes } from "node:crypto";
import { Client, credentials, type Metadata } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { appendRequestCodec, logServicePaths, readRequestCodec } from "../../src/format/api-codec.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { decodeErrorDetails, errorDetailsTrailer } from "../../src/format/error-details.ts";
import { Running, runCli } from "../cluster/harness.ts";
import { address, log, node, tailOf } from "./served-log.ts";

test("append answers each line in order, read gives the lines back", async () => {
  const tail = await tailOf();
  const lines = Array.from({ length: 3000 }, (_, index) => `line ${index}`);
  const appended = await runCli(["append", "--to", address, "--json"], `${lines.join("\n")}\n`);
  expect(appended.code).toBe(0);
  expect(appended.json()).toEqual(lines.map((_, index) => ({ line: index + 1, position: tail + index })));

  const read = await runCli(["read", "--to", address, "--from", String(tail), "--json"]);
  expect(read.code).toBe(0);
  expect(read.json().map((record) => record.value)).toEqual(lines);
  expect(read.json().map((record) => record.position)).toEqual(lines.map((_, index) => tail + index));
  const limited = await runCli(["read", "--to", address, "--from", String(tail + 10), "--limit", "2"]);
  expect(limited.stdout).toBe("line 10\nline 11\n");
});

test("values are bytes: what is not UTF-8 comes back as it was, in base64 where JSON needs text", async () => {
  const tail = await tailOf();
  const value = Buffer.from([0xff, 0x00, 0xfe, 0x80]);
  await runCli(
    ["append", "--to", address, "--type", "raw", "--tag", "a:1", "--tag", "b:2"],
    Buffer.concat([value, Buffer.from("\n")]),
  );
  const [record] = (await runCli(["read", "--to", address, "--from", String(tail), "--json"])).json();
  expect(record).toEqual({
    position: tail,
    time: expect.any(Number),
    type: "raw",
    tags: ["a:1", "b:2"],
    session: expect.any(Number),
    valueBase64: value.toString("base64"),
  });
});

test("a line that is too large fails alone, with outcome none", async () => {
  const tail = await tailOf();
  const input = `before\n${"x".repeat(limits.recordBytesMax + 10)}\nafter\n`;
  const result = await runCli(["append", "--to", address, "--json"], input);
  expect(result.code).toBe(2);
  expect(result.json()).toMatchObject([
    { line: 1, position: tail },
    { line: 2, error: "RECORD_TOO_LARGE", outcome: "none" },
    { line: 3, position: tail + 1 },
  ]);
});

test("lines of a type that only nodes write fail, and nothing of them is there", async () => {
  const tail = await tailOf();
  const result = await runCli(["append", "--to", address, "--json", "--type", "$activation"], "forged\n");
  expect(result.code).toBe(2);
  expect(JSON.stringify(result)).toContain("TYPE_RESERVED");
  expect(await tailOf()).toBe(tail);
});

test("lines that were compressed are read as they were", async () => {
  const tail = await tailOf();
  const line = "the same words again, ".repeat(100);
  const appended = await runCli(["append", "--to", address, "--compression", "auto", "--json"], `${line}\n${line}\n`);
  expect(appended.json()).toMatchObject([{ position: tail }, { position: tail + 1 }]);
  const read = await runCli(["read", "--to", address, "--from", String(tail), "--json"]);
  expect(read.json()).toMatchObject([{ value: line }, { value: line }]);
});

test("reading past the tail is an error, following from there is not", async () => {
  const tail = await tailOf();
  const past = await runCli(["read", "--to", address, "--from", String(tail + 1), "--json"]);
  expect(past.error()).toMatchObject({ error: "POSITION_PAST_TAIL", outcome: "none" });
  expect(past.code).toBe(2);

  const following = new Running([
    "read",
    "--to",
    address,
    "--from",
    String(tail),
    "--follow",
    "--limit",
    "1",
    "--json",
  ]);
  await log.append({ value: "came later" });
  expect(await following.line(0)).toMatchObject({ position: tail, value: "came later" });
  expect(await following.exited).toBe(0);
});

test("a reader that follows is stopped by a signal without an error", async () => {
  const following = new Running(["read", "--to", address, "--follow", "--json"]);
  await following.line(0);
  expect(await following.stop("SIGINT")).toBe(0);
  expect(following.stderr).toBe("");
});

test("status says who leads and how far the log is", async () => {
  const status = (await runCli(["status", "--to", address, "--json"])).json().at(-1)!;
  expect(status).toMatchObject({ leader: "node", head: 1, tail: await tailOf() });
  expect(status.nodes).toMatchObject([{ id: "node", address, role: "leader", pid: node.child.pid, reachable: true }]);
  const table = await runCli(["status", "--to", address]);
  expect(table.stdout).toMatch(/^ +NODE +ADDRESS +ROLE .*\n\* +node +127\.0\.0\.1:\d+ +leader +accept /);
  expect(table.stdout).toMatch(/\n\nleader node, records 1 to [\d,]+ \(tail [\d,]+\)\n$/);
});

/** A unary call with these bytes; the code and outcome of its error. */
function rawCall(
  path: string,
  request: Buffer,
): Promise<{ code: string; outcome: string; message: string } | undefined> {
  const client = new Client(address, credentials.createInsecure());
  const identity = (bytes: Buffer) => bytes;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, identity, identity, request, (error) => {
      client.close();
      if (error === null) return resolve(undefined);
      const [details] = (error.metadata as Metadata).get(errorDetailsTrailer);
      const decoded = details instanceof Uint8Array ? decodeErrorDetails(details) : undefined;
      if (decoded === undefined) return reject(error);
      resolve({ code: decoded.code, outcome: decoded.outcome, message: decoded.message });
    });
  });
}

test("malformed requests are refused by name and change nothing", async () => {
  const tail = await tailOf();
  const batch = encodeBatch([{ value: "x" }]);
  const append = (request: Parameters<typeof appendRequestCodec.encode>[0]) =>
    rawCall(logServicePaths.append, appendRequestCodec.encode(request));
  const expectations: [string, Promise<{ code: string; outcome: string } | undefined>][] = [
    ["BATCH_MALFORMED", append({ logId: 1, batch: randomBytes(100), crc32c: undefined })],
    ["BATCH_MALFORMED", append({ logId: 1, batch: new Uint8Array(0), crc32c: undefined })],
    ["BATCH_MALFORMED", append({ logId: 1, batch: batch.subarray(0, batch.length - 1), crc32c: undefined })],
    ["CHECKSUM_MISMATCH", append({ logId: 1, batch, crc32c: 1 })],
    ["UNKNOWN_LOG", append({ logId: 2, batch, crc32c: undefined })],
    ["BATCH_TOO_LARGE", append({ logId: 1, batch: new Uint8Array(limits.batchBytesMax + 1), crc32c: undefined })],
    ["INVALID_ARGUMENT", rawCall(logServicePaths.append, Buffer.from([0xff, 0xff, 0xff]))],
  ];
  for (const [code, call] of expectations) expect(await call).toMatchObject({ code, outcome: "none" });
  const read = readRequestCodec.encode({ logId: 7, from: 1, limit: 0, follow: false, freshness: "linearizable" });
  expect(await rawCall(logServicePaths.read, read)).toMatchObject({ code: "UNKNOWN_LOG" });
  expect(await tailOf()).toBe(tail);
});
