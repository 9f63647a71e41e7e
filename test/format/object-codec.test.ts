/**
 * Goal: what is said to machines and by them survives the wire unchanged; bytes that are none get a verdict and never an exception.
 * Method: round trips of generated values, random and damaged bytes, and single messages that contradict themselves.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { errorStatusBody } from "../../src/format/error-details.ts";
import { paxlog } from "../../src/format/generated/wire.js";
import {
  askManyRequestCodec,
  askManyResponseCodec,
  askRequestCodec,
  askResponseCodec,
  executeRequestCodec,
  executeResponseCodec,
  executeStreamRequestCodec,
  executeStreamResponseCodec,
  fetchSnapshotRequestCodec,
  fetchSnapshotResponseCodec,
  listMachinesRequestCodec,
  listMachinesResponseCodec,
  watchRequestCodec,
  watchResponseCodec,
} from "../../src/format/object-codec.ts";
import { guards, plain } from "./api-values.ts";
import { type CodecCase, caseOf, checkCodecs } from "./codec-cases.ts";

const safe = fc.maxSafeNat();
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const bytes = fc.uint8Array({ maxLength: 50 }).map((value) => Buffer.from(value));
const text = fc.string({ unit: "binary", maxLength: 12 });
const logId = fc.integer({ min: 1, max: 0xffff_ffff });
const freshness = fc.oneof(fc.constantFrom("linearizable" as const, "local" as const), fc.record({ atLeast: safe }));
const freshnessKind = fc.constantFrom("linearizable" as const, "atLeast" as const, "local" as const);
const error = fc
  .record({ code: fc.constantFrom("MACHINE_FAILED" as const, "REPLY_GONE" as const), message: text, position: safe })
  .map(({ code, message, position }) => new PaxlogError(code, message, { facts: { position } }));

const execute = fc.record({
  logId,
  batch: bytes,
  crc32c: fc.option(u32, { nil: undefined }),
  guards: fc.option(guards, { nil: undefined }),
});
const executeOfStream = fc
  .tuple(execute, fc.boolean())
  .map(([request, independent]) => (independent ? { ...request, independent } : request));
const reply = fc.oneof(
  fc.record({ kind: fc.constant("reply" as const), reply: bytes }),
  fc.record({ kind: fc.constant("failed" as const), error }),
);
const executed = fc
  .record({ firstPosition: safe, time: safe, replies: fc.array(reply, { maxLength: 4 }) })
  .map(({ replies, ...rest }) => ({ appended: { ...rest, recordCount: replies.length }, replies }));
const executedOfStream = fc
  .record({ executed: fc.array(executed, { maxLength: 3 }), refused: fc.option(error, { nil: undefined }) })
  .map(({ refused, ...rest }) => (refused === undefined ? rest : { ...rest, refused }));
const machineStatus = fc.record({
  name: text,
  version: u32,
  code: text,
  applied: safe,
  snapshot: safe,
  stopped: fc.option(error, { nil: undefined }),
  busyMs: safe,
});
const header = fc.record({
  machine: text,
  version: u32,
  position: safe,
  length: safe,
  hash: fc.uint8Array({ minLength: 16, maxLength: 16 }),
});
const piece = fc.oneof(fc.record({ piece: bytes }), fc.record({ header, piece: bytes }));
const changes = fc.array(fc.record({ position: safe, time: safe, change: bytes }), { maxLength: 3 });

const cases: readonly (readonly [string, CodecCase<unknown>])[] = [
  ["ExecuteRequest", caseOf(executeRequestCodec, execute)],
  ["ExecuteStreamRequest", caseOf(executeStreamRequestCodec, executeOfStream)],
  ["ExecuteResponse", caseOf(executeResponseCodec, executed)],
  ["ExecuteStreamResponse", caseOf(executeStreamResponseCodec, executedOfStream)],
  ["AskRequest", caseOf(askRequestCodec, fc.record({ machine: text, question: bytes, freshness }))],
  ["AskResponse", caseOf(askResponseCodec, fc.record({ answer: bytes, position: safe, freshness: freshnessKind }))],
  [
    "AskManyRequest",
    caseOf(askManyRequestCodec, fc.record({ machine: text, questions: fc.array(bytes, { maxLength: 3 }), freshness })),
  ],
  [
    "AskManyResponse",
    caseOf(
      askManyResponseCodec,
      fc.record({
        answers: fc.array(fc.option(bytes, { nil: undefined }), { maxLength: 3 }),
        position: safe,
        freshness: freshnessKind,
      }),
    ),
  ],
  ["WatchRequest", caseOf(watchRequestCodec, fc.record({ machine: text, question: bytes, from: safe }))],
  ["WatchResponse", caseOf(watchResponseCodec, fc.record({ changes, next: safe }))],
  ["ListMachinesRequest", caseOf(listMachinesRequestCodec, fc.constant({}))],
  [
    "ListMachinesResponse",
    caseOf(listMachinesResponseCodec, fc.record({ machines: fc.array(machineStatus, { maxLength: 3 }) })),
  ],
  [
    "FetchSnapshotRequest",
    caseOf(fetchSnapshotRequestCodec, fc.record({ machine: text, position: safe, offset: safe, atLeast: safe })),
  ],
  ["FetchSnapshotResponse", caseOf(fetchSnapshotResponseCodec, piece)],
];

/** Errors compare by what they tell. */
const told = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(plain(value), (_key, inner) =>
      inner instanceof PaxlogError ? { code: inner.code, message: inner.message, facts: inner.facts } : inner,
    ),
  );

checkCodecs(cases, told);

describe("an answer to commands", () => {
  const wire = paxlog.v1;

  test("has a reply to each of them, or is none", () => {
    const appended = { firstPosition: 5, recordCount: 2, time: 7 };
    const one = wire.ExecuteResponse.encode({ appended, replies: [{ reply: new Uint8Array(1) }] }).finish();
    expect(executeResponseCodec.decode(one)).toMatchObject({ kind: "malformed" });
    const nothing = wire.ExecuteResponse.encode({ appended: { ...appended, recordCount: 1 }, replies: [{}] }).finish();
    expect(executeResponseCodec.decode(nothing)).toMatchObject({ kind: "malformed" });
  });

  test("is written as by the generated code, and read as it reads", () => {
    const unknown = Uint8Array.of(15 * 8, 1);
    const answers = fc.array(executed, { maxLength: 3 });
    fc.assert(
      fc.property(answers, (all) => {
        const written = executeStreamResponseCodec.encode({ executed: all });
        const body = all.map(({ appended, replies }) => ({
          appended,
          replies: replies.map((each) =>
            each.kind === "reply" ? { reply: each.reply } : { error: errorStatusBody(each.error) },
          ),
        }));
        const generated = wire.ExecuteStreamResponse.encode({ executed: body }).finish();
        expect(Buffer.from(written)).toEqual(Buffer.from(generated));
        // What has a field that nobody knows is read by the generated code.
        const slow = executeStreamResponseCodec.decode(Buffer.concat([written, unknown]));
        expect(told(executeStreamResponseCodec.decode(written))).toEqual(told(slow));
      }),
    );
  });

  test("may be an empty reply", () => {
    const value = {
      appended: { firstPosition: 5, recordCount: 1, time: 7 },
      replies: [{ kind: "reply" as const, reply: new Uint8Array(0) }],
    };
    expect(told(executeResponseCodec.decode(executeResponseCodec.encode(value)))).toEqual({
      kind: "ok",
      value: told(value),
    });
  });
});
