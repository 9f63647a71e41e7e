/** The messages of the machine "space" (proto/paxlog/v1/builtins.proto) as its own values. */
import { assertNever } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type {
  SpaceCall,
  SpaceChange,
  SpaceCommand,
  SpaceCompare,
  SpaceEntries,
  SpaceEntry,
  SpaceKeys,
  SpaceOperation,
  SpaceQuestion,
  SpaceRange,
  SpaceRefusalCode,
  SpaceRelation,
  SpaceReply,
  SpaceResult,
  SpaceTarget,
} from "../machine/builtin/space-values.ts";
import { enumOf, machineCodec, objectName, objectValue, wholeNumber } from "./builtin-codec.ts";
import { paxlog } from "./generated/wire.js";
import { type Absent, malformed, present, safeNumber } from "./wire-value.ts";

const wire = paxlog.v1;
const { Relation: number } = wire.SpaceCompare;

const relationNumbers: Readonly<Record<SpaceRelation, paxlog.v1.SpaceCompare.Relation>> = {
  equal: number.RELATION_EQUAL,
  notEqual: number.RELATION_NOT_EQUAL,
  less: number.RELATION_LESS,
  greater: number.RELATION_GREATER,
};

const relations = Object.fromEntries(
  Object.entries(relationNumbers).map(([name, each]) => [each, name as SpaceRelation]),
);

const refusalCodes: ReadonlySet<string> = new Set<SpaceRefusalCode>([
  "PROCEDURE_UNKNOWN",
  "PROCEDURE_FAILED",
  "TRANSACTION_TOO_LARGE",
  "SESSION_REQUIRED",
  "SPACE_FULL",
]);

export const spaceCommandCodec = machineCodec<SpaceCommand>(
  (command) => wire.SpaceCommand.encode(commandBodyOf(command)),
  (bytes) => {
    const { operation, transaction, call } = wire.SpaceCommand.decode(bytes);
    if (operation === "call") return callOf(present(call, "call"));
    if (operation !== "transaction") malformed("a command of the space has no operation that this version knows");
    const { compare, success, failure } = present(transaction, "transaction");
    return {
      kind: "transaction",
      compare: (compare ?? []).map(compareOf),
      success: (success ?? []).map(operationOf),
      failure: (failure ?? []).map(operationOf),
    };
  },
);

export const spaceReplyCodec = machineCodec<SpaceReply>(
  (reply) => wire.SpaceReply.encode(replyBodyOf(reply)),
  (bytes) => {
    const { result, transaction, returned, refusal } = wire.SpaceReply.decode(bytes);
    switch (result) {
      case "transaction":
        return {
          kind: "transaction",
          succeeded: transaction?.succeeded ?? false,
          results: (transaction?.results ?? []).map(resultOf),
        };
      case "returned":
        return { kind: "returned", result: objectValue(returned, "what was returned") };
      case "refusal": {
        const { code = "", message } = present(refusal, "refusal");
        if (!refusalCodes.has(code ?? "")) malformed(`a refusal ${code} that is not known`);
        return { kind: "refused", code: code as SpaceRefusalCode, message: message ?? "" };
      }
      default:
        return malformed("a reply of the space is none that this version knows");
    }
  },
);

export const spaceQuestionCodec = machineCodec<SpaceQuestion>(
  ({ range }) => wire.SpaceQuestion.encode({ range: rangeBodyOf(range) }),
  (bytes) => ({ range: rangeOf(present(wire.SpaceQuestion.decode(bytes).range, "range")) }),
);

export const spaceAnswerCodec = machineCodec<SpaceEntries>(
  (entries) => wire.SpaceEntries.encode(entriesBodyOf(entries)),
  (bytes) => entriesOf(wire.SpaceEntries.decode(bytes)),
);

export const spaceChangeCodec = machineCodec<SpaceChange>(
  (change) => wire.SpaceChange.encode(change),
  (bytes) => ({ entry: entryOf(present(wire.SpaceChange.decode(bytes).entry, "entry")) }),
);

// ---- Commands

function commandBodyOf(command: SpaceCommand): paxlog.v1.SpaceCommand.$Properties {
  if (command.kind === "call") {
    return { call: { procedure: procedureName(command.procedure), arguments: command.args } };
  }
  const { compare, success, failure } = command;
  return {
    transaction: {
      compare: compare.map(compareBodyOf),
      success: success.map(operationBodyOf),
      failure: failure.map(operationBodyOf),
    },
  };
}

function callOf({ procedure, arguments: args }: paxlog.v1.SpaceCall.$Properties): SpaceCall {
  return { kind: "call", procedure: procedureName(procedure), args: args ?? new Uint8Array(0) };
}

function procedureName(given: string | Absent): string {
  const name = objectName(given, "the procedure's name");
  return name.length <= limits.procedureNameBytesMax ? name : malformed("the procedure's name is too long");
}

function compareBodyOf({ keys, relation, target }: SpaceCompare): paxlog.v1.SpaceCompare.$Properties {
  const what =
    target.kind === "value"
      ? { value: objectValue(target.value, "a compared value") }
      : { [target.kind]: wholeNumber(target.number, "a compared number") };
  return { ...keysBodyOf(keys), relation: relationNumbers[relation], ...what };
}

function compareOf(body: paxlog.v1.SpaceCompare.$Properties): SpaceCompare {
  return { keys: keysOf(body), relation: enumOf(body.relation, relations, "the relation"), target: targetOf(body) };
}

function targetOf(body: paxlog.v1.SpaceCompare.$Properties): SpaceTarget {
  const { target: kind } = body;
  if (kind === undefined) malformed("a comparison compares nothing that this version knows");
  if (kind === "value") return { kind, value: objectValue(body.value, "a compared value") };
  return { kind, number: safeNumber(body[kind], "a compared number") };
}

function operationBodyOf(operation: SpaceOperation): paxlog.v1.SpaceOperation.$Properties {
  switch (operation.kind) {
    case "put": {
      const { key, value, bound, withBefore } = operation;
      return { put: { key: keyOf(key), value: objectValue(value), bound, withBefore } };
    }
    case "delete":
      return { delete: keysBodyOf(operation.keys) };
    case "get":
      return { get: rangeBodyOf(operation) };
    default:
      return assertNever(operation);
  }
}

function operationOf(body: paxlog.v1.SpaceOperation.$Properties): SpaceOperation {
  switch (body.operation) {
    case "put": {
      const { key, value, bound, withBefore } = present(body.put, "put");
      return {
        kind: "put",
        key: keyOf(key),
        value: objectValue(value),
        bound: bound ?? false,
        withBefore: withBefore ?? false,
      };
    }
    case "delete":
      return { kind: "delete", keys: keysOf(present(body.delete, "delete")) };
    case "get":
      return { kind: "get", ...rangeOf(present(body.get, "get")) };
    default:
      return malformed("an operation is none that this version knows");
  }
}

// ---- Keys and entries

function keyOf(key: Uint8Array | Absent, what = "a key"): Uint8Array {
  const length = key?.length ?? 0;
  if (key === undefined || key === null || length < 1 || length > limits.objectNameBytesMax) {
    malformed(`${what} must have 1 to ${limits.objectNameBytesMax} bytes, not ${length}`);
  }
  return key;
}

/** An end is behind every key where it is one byte 0. One that is not behind the first key makes a range of no keys. */
function keysOf({ key, end }: { key?: Uint8Array | Absent; end?: Uint8Array | Absent }): SpaceKeys {
  const isAlone = end === undefined || end === null || end.length === 0;
  return { key: keyOf(key), end: isAlone ? undefined : keyOf(end, "an end") };
}

function keysBodyOf({ key, end }: SpaceKeys): { key: Uint8Array; end?: Uint8Array } {
  return end === undefined ? { key: keyOf(key) } : { key: keyOf(key), end: keyOf(end, "an end") };
}

function rangeBodyOf({ keys, limit, keysOnly, countOnly, reverse }: SpaceRange): paxlog.v1.SpaceRange.$Properties {
  const isLegal = Number.isInteger(limit) && limit >= 0 && limit <= 0xffff_ffff;
  if (!isLegal) malformed("the limit is not a whole number below 2^32");
  return { ...keysBodyOf(keys), limit, keysOnly, countOnly, reverse };
}

function rangeOf(body: paxlog.v1.SpaceRange.$Properties): SpaceRange {
  const { limit, keysOnly, countOnly, reverse } = body;
  return {
    keys: keysOf(body),
    limit: limit ?? 0,
    keysOnly: keysOnly ?? false,
    countOnly: countOnly ?? false,
    reverse: reverse ?? false,
  };
}

function entryOf(body: paxlog.v1.SpaceEntry.$Properties): SpaceEntry {
  return {
    key: keyOf(body.key),
    value: objectValue(body.value),
    created: safeNumber(body.created, "created"),
    version: safeNumber(body.version, "the version"),
    writes: safeNumber(body.writes, "writes"),
    session: safeNumber(body.session, "the session"),
  };
}

const entriesBodyOf = ({ entries, more, count }: SpaceEntries): paxlog.v1.SpaceEntries.$Properties => ({
  entries: [...entries],
  more,
  count,
});

const entriesOf = ({ entries, more, count }: paxlog.v1.SpaceEntries.$Properties): SpaceEntries => ({
  entries: (entries ?? []).map(entryOf),
  more: more ?? false,
  count: safeNumber(count, "the count"),
});

// ---- Replies

function replyBodyOf(reply: SpaceReply): paxlog.v1.SpaceReply.$Properties {
  switch (reply.kind) {
    case "transaction":
      return { transaction: { succeeded: reply.succeeded, results: reply.results.map(resultBodyOf) } };
    case "returned":
      return { returned: reply.result };
    case "refused":
      return { refusal: { code: reply.code, message: reply.message } };
    default:
      return assertNever(reply);
  }
}

function resultBodyOf(result: SpaceResult): paxlog.v1.SpaceResult.$Properties {
  switch (result.kind) {
    case "put":
      return { put: result.before };
    case "delete":
      return { deleted: result.count };
    case "get":
      return { get: entriesBodyOf(result) };
    default:
      return assertNever(result);
  }
}

function resultOf(body: paxlog.v1.SpaceResult.$Properties): SpaceResult {
  switch (body.result) {
    case "put":
      return { kind: "put", before: entryOf(present(body.put, "put")) };
    case "deleted":
      return { kind: "delete", count: safeNumber(body.deleted, "the count") };
    case "get":
      return { kind: "get", ...entriesOf(present(body.get, "get")) };
    default:
      return malformed("a result is none that this version knows");
  }
}
