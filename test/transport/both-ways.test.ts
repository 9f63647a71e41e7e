/**
 * Goal: whichever way a batch is appended, its guards have the verdict that the log gives, with the right facts.
 * Method: a real engine on a real directory behind the real services; random demands over the wire, one after another or pipelined;
 * the model of the log judges every answer in the order of the requests.
 */
import type { Client } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { PaxlogError } from "../../src/base/errors.ts";
import {
  appendRequestCodec,
  appendResponseCodec,
  appendStreamRequestCodec,
  appendStreamResponseCodec,
  logServicePaths,
} from "../../src/format/api-codec.ts";
import {
  fenceRequestCodec,
  fenceResponseCodec,
  openSessionRequestCodec,
  openSessionResponseCodec,
} from "../../src/format/session-codec.ts";
import { Random } from "../../src/simulator/random.ts";
import { type ClientServer, startClientServer } from "../../src/transport/client-server.ts";
import { appendWhenLed, hashing, type LoneNode, makeTempDir, startLoneNode } from "../runtime/lone-node.ts";
import { type CallFailure, call, connectTo, endOf, openAppendStream, unwrap } from "./test-client.ts";
import { type AppendInput, Demands, Judge, outputOf, requestOf, type Verdict } from "./verdicts.ts";

let temp: ReturnType<typeof makeTempDir>;
let node: LoneNode;
let server: ClientServer;
let client: Client;
let judge: Judge;

beforeEach(async () => {
  temp = makeTempDir();
  node = await startLoneNode(temp.dir);
  await appendWhenLed(node.engine, ["first"]);
  server = await startClientServer({ listen: "127.0.0.1:0", backend: node.engine, hashing, log: () => {} });
  client = connectTo(server.port);
  judge = new Judge();
  const first: AppendInput = { kind: "append", records: [{ type: "", tags: [] }], guards: {} };
  judge.take(first, { kind: "appended", first: 1 });
});

afterEach(async () => {
  client.close();
  await server.close();
  await node.close();
  temp.remove();
});

async function openSession(): Promise<number> {
  const { openSession: path } = logServicePaths;
  const request = { logId: 1, ttlMs: 0 };
  return (await call(client, path, openSessionRequestCodec, openSessionResponseCodec, request)).session;
}

async function raiseFence(token: number): Promise<void> {
  const answer = await call(client, logServicePaths.fence, fenceRequestCodec, fenceResponseCodec, { logId: 1, token });
  judge.take({ kind: "fence", token }, { kind: "fenced", ...answer });
}

const appendUnary = (input: AppendInput): Promise<Verdict> =>
  call(client, logServicePaths.append, appendRequestCodec, appendResponseCodec, requestOf(input)).catch(
    (failure: CallFailure) => failure.error!,
  );

/** Sends all at once. The answers in order, as far as they go, and how the stream ended. */
async function appendInStream(inputs: readonly AppendInput[], independent: boolean) {
  const stream = openAppendStream(client);
  const end = endOf(stream);
  const verdicts: Verdict[] = [];
  stream.on("data", (bytes: Buffer) => {
    const { acknowledged, refused } = unwrap(appendStreamResponseCodec.decode(bytes));
    verdicts.push(...acknowledged);
    if (refused !== undefined) verdicts.push(refused);
  });
  for (const input of inputs) stream.write(appendStreamRequestCodec.encode({ ...requestOf(input), independent }));
  stream.end();
  return { verdicts, error: (await end)?.error };
}

const rounds = 8;
const perRound = 40;

test("one after another by Append", async () => {
  const demands = new Demands(new Random(1), [await openSession(), await openSession()]);
  for (let round = 0; round < rounds; round += 1) {
    for (let count = 0; count < perRound; count += 1) {
      const input = demands.next(judge.tail);
      judge.take(input, outputOf(await appendUnary(input)));
    }
    if (round === rounds / 2) await raiseFence(2);
  }
});

test("pipelined and independent in an AppendStream", async () => {
  const random = new Random(2);
  const demands = new Demands(random, [await openSession(), await openSession()]);
  for (let round = 0; round < rounds; round += 1) {
    // Nobody knows the tail while others are under way: some guess it.
    const inputs = Array.from({ length: perRound }, (_, index) => demands.next(judge.tail + random.below(index + 1)));
    const { verdicts, error } = await appendInStream(inputs, true);
    expect(error).toBeUndefined();
    expect(verdicts.length).toBe(inputs.length);
    for (const [index, input] of inputs.entries()) judge.take(input, outputOf(verdicts[index]!));
    if (round === rounds / 2) await raiseFence(2);
  }
});

test("pipelined in an AppendStream that the first refusal ends", async () => {
  const random = new Random(3);
  const demands = new Demands(random, []);
  let refusals = 0;
  for (let round = 0; round < 4 * rounds; round += 1) {
    const guarded = random.below(perRound);
    const inputs = Array.from({ length: perRound }, (_, index): AppendInput => {
      const input = demands.next(judge.tail + random.below(index + 1));
      return index === guarded ? input : { ...input, guards: {} };
    });
    const { verdicts, error } = await appendInStream(inputs, false);
    for (const [index, verdict] of verdicts.entries()) judge.take(inputs[index]!, outputOf(verdict));
    if (error === undefined) {
      expect(verdicts.length).toBe(inputs.length);
      continue;
    }
    refusals += 1;
    const { outcome, facts }: PaxlogError = error;
    expect(outcome).toBe("none");
    // Those that gRPC dropped with the error are answered too: the next positions, one after another.
    for (let index = verdicts.length; index < Number(facts.acknowledged); index += 1) {
      judge.take(inputs[index]!, { kind: "appended", first: judge.tail });
    }
    expect(facts.acknowledged).toBe(guarded);
    judge.take(inputs[guarded]!, outputOf(error));
    // Nothing behind it is in the log, or the next round is refused by the judge.
    expect(node.engine.bounds().tail).toBe(judge.tail);
  }
  expect(refusals).toBeGreaterThan(rounds);
});
