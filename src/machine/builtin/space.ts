import { assertNever } from "../../base/assert.ts";
import { limits } from "../../base/limits.ts";
import { type ByteString, byteStringOf } from "../byte-string.ts";
import type { RecordedChange } from "../change-log.ts";
import { type ApplyContext, defineMachine } from "../machine.ts";
import type { Procedures } from "../procedures.ts";
import { entriesIn, entryBytes, entryOf, intervalOf, KeySpace, type StoredValue } from "./key-space.ts";
import { callProcedure } from "./procedure-call.ts";
import type {
  SpaceChange,
  SpaceCommand,
  SpaceCompare,
  SpaceEntries,
  SpaceKeys,
  SpaceOperation,
  SpaceOutcome,
  SpaceQuestion,
  SpaceRelation,
  SpaceReply,
  SpaceResult,
  SpaceTarget,
  SpaceTransaction,
} from "./space-values.ts";
import { allOrNothing, type SpaceWork } from "./space-work.ts";

/** The key-value space; with procedures where the nodes were given some. */
export const spaceWith = (procedures: Procedures | undefined) =>
  defineMachine<KeySpace, SpaceCommand, SpaceReply, SpaceQuestion, SpaceEntries>({
    name: "space",
    version: 1,
    create: () => new KeySpace(),
    apply: (space, command, at) => allOrNothing(space, at, (work) => replyTo(work, command, at, procedures)),
    ask: (space, { range }) => {
      const interval = intervalOfKeys(range.keys);
      const room = { left: limits.spaceAnswerBytes };
      const entries = entriesIn(space, interval, range, room, () => {});
      return entries ?? { entries: [], more: true, count: space.count(interval) };
    },
    ended: (space, at) => space.endSession(at),
    save: (space) => space.save(),
    freeze: (space) => space.freeze(),
    load: (pieces) => KeySpace.load(pieces),
  });

/** What happened to the keys of a question's range. */
export function spaceChanges(
  space: Readonly<KeySpace>,
  { range }: SpaceQuestion,
  from: number,
  max: number,
): readonly RecordedChange<SpaceChange>[] | undefined {
  const { begin, end } = intervalOfKeys(range.keys);
  const found = space.changes.since(from, max, ({ key }) => key >= begin && (end === undefined || key < end));
  return found?.map(({ change, ...at }) => ({
    ...at,
    change: { entry: entryOf(change.key, change.stored, !range.keysOnly) },
  }));
}

function replyTo(
  work: SpaceWork,
  command: SpaceCommand,
  at: ApplyContext,
  procedures: Procedures | undefined,
): SpaceReply {
  switch (command.kind) {
    case "transaction":
      return outcomeOf(work, command);
    case "call":
      return { kind: "returned", result: callProcedure(work, procedures, command.procedure, command.args, at) };
    default:
      return assertNever(command);
  }
}

function outcomeOf(work: SpaceWork, { compare, success, failure }: SpaceTransaction): SpaceOutcome {
  const most = Math.max(compare.length, success.length, failure.length);
  if (most > limits.transactionOperationsMax) {
    const message = `it has ${most} comparisons or operations, more than ${limits.transactionOperationsMax}`;
    work.refuse("TRANSACTION_TOO_LARGE", message);
  }
  const succeeded = compare.every((each) => holds(work, each));
  const results = (succeeded ? success : failure).map((each) => carryOut(work, each));
  return { kind: "transaction", succeeded, results };
}

// ---- Comparisons

function holds(work: SpaceWork, { keys, relation, target }: SpaceCompare): boolean {
  if (keys.end === undefined) return holdsFor(work.get(byteStringOf(keys.key)), relation, target);
  for (const key of work.space.keys(intervalOfKeys(keys))) {
    if (!holdsFor(work.get(key), relation, target)) return false;
  }
  return true;
}

function holdsFor(stored: StoredValue | undefined, relation: SpaceRelation, target: SpaceTarget): boolean {
  if (target.kind !== "value") return isRelated(stored?.[target.kind] ?? 0, relation, target.number);
  if (stored === undefined) return relation === "notEqual";
  return isRelated(stored.value, relation, byteStringOf(target.value));
}

function isRelated<Value extends number | ByteString>(actual: Value, relation: SpaceRelation, wanted: Value): boolean {
  switch (relation) {
    case "equal":
      return actual === wanted;
    case "notEqual":
      return actual !== wanted;
    case "less":
      return actual < wanted;
    case "greater":
      return actual > wanted;
    default:
      return assertNever(relation);
  }
}

// ---- Operations

function carryOut(work: SpaceWork, operation: SpaceOperation): SpaceResult {
  switch (operation.kind) {
    case "put": {
      const key = byteStringOf(operation.key);
      const stored = work.put(key, byteStringOf(operation.value), operation.bound);
      const before = entryOf(key, stored, operation.withBefore);
      const bytes = entryBytes(before);
      if (bytes > work.room.left) refuseResults(work);
      work.room.left -= bytes;
      return { kind: "put", before };
    }
    case "delete":
      return { kind: "delete", count: work.deleteAll(intervalOfKeys(operation.keys)) };
    case "get": {
      const interval = intervalOfKeys(operation.keys);
      const looked = (key: ByteString, stored: StoredValue) => work.touch(key, stored.value);
      const entries = entriesIn(work.space, interval, operation, work.room, looked) ?? refuseResults(work);
      return { kind: "get", ...entries };
    }
    default:
      return assertNever(operation);
  }
}

function refuseResults(work: SpaceWork): never {
  return work.refuse("TRANSACTION_TOO_LARGE", `its results have more than ${limits.objectValueBytesMax} bytes`);
}

function intervalOfKeys({ key, end }: SpaceKeys) {
  return intervalOf(byteStringOf(key), end === undefined ? undefined : byteStringOf(end));
}
