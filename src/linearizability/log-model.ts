import { assertNever } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { Condition, Guards, QueryItem, Refusal, StreamGuard } from "../core/guards.ts";
import type { Model } from "./history.ts";

/** What a guard may see of a record. */
export interface RecordLabels {
  readonly type: string;
  readonly tags: readonly string[];
}

export type LogInput =
  | { readonly kind: "append"; readonly records: readonly RecordLabels[]; readonly guards: Guards }
  | { readonly kind: "tail" }
  | { readonly kind: "fence"; readonly token: number };

export type LogOutput =
  /** In the log from position `first` on; for a retry in a session, where its first attempt went. */
  | { readonly kind: "appended"; readonly first: number }
  /** For a retry in a session, as its first attempt was refused. */
  | { readonly kind: "refused"; readonly refusal: SeenRefusal }
  | { readonly kind: "tail"; readonly tail: number }
  | { readonly kind: "fenced"; readonly fence: number; readonly tail: number };

/** What a client was told: not all of it reaches every client. */
export interface SeenRefusal {
  readonly guard: Refusal["guard"];
  readonly actual: number;
  readonly index?: number | undefined;
  readonly tail?: number | undefined;
}

export interface LogState {
  readonly log: Prefix;
  readonly fence: number;
}

/**
 * A log as it was after one of its batches. Logs share what is before, and equal logs are one object: the number is the state's
 * key. A step costs the records that a guard may have to look at, not the length of the log.
 */
export interface Prefix {
  readonly number: number;
  readonly tail: number;
  /** Undefined for the empty log. */
  readonly last: Batch | undefined;
  /** By tag and by session: the log as it was after the newest batch that bears it. */
  readonly newest: ReadonlyMap<string, Prefix>;
  /** The logs that continue this one, by what their next batch holds. */
  readonly continued: Map<string, Prefix>;
}

interface Batch {
  readonly before: Prefix;
  readonly records: readonly RecordLabels[];
  readonly serial: number;
  /** Of a session's request that holds no records because it was refused: all the refusals that are right. */
  readonly refusals: readonly Facts[];
}

/** Every part of it is what was true at one moment. */
interface Facts {
  readonly guard: Refusal["guard"];
  readonly index: number;
  readonly actual: number;
  readonly tail: number;
}

type AppendInput = Extract<LogInput, { kind: "append" }>;
type Continue = (log: Prefix, input: AppendInput, refusals: readonly Facts[]) => Prefix;

/**
 * The log as clients know it: appends under guards, the refusals with their facts, the tail and the fence. Where several guards
 * fail, any of them may be the one that is named, but what is said of it must be what was true at that moment.
 */
export function makeLogModel(): Model<LogState, LogInput, LogOutput> {
  let prefixes = 1;
  const empty: Prefix = { number: 0, tail: 1, last: undefined, newest: new Map(), continued: new Map() };

  const append: Continue = (log, { records: wanted, guards: { session } }, refusals) => {
    const records = refusals.length > 0 ? [] : wanted;
    const labels = records.map(({ type, tags }) => [type, tags]);
    const key = JSON.stringify([labels, session?.id, session?.serial, refusals]);
    let next = log.continued.get(key);
    if (next === undefined) {
      const last = { before: log, records, serial: session?.serial ?? 0, refusals };
      const newest = new Map(log.newest);
      next = { number: prefixes, tail: log.tail + records.length, last, newest, continued: new Map() };
      prefixes += 1;
      for (const tag of records.flatMap(({ tags }) => tags)) newest.set(tagKey(tag), next);
      if (session !== undefined) newest.set(sessionKey(session.id), next);
      log.continued.set(key, next);
    }
    return next;
  };

  return {
    initial: { log: empty, fence: 0 },
    step(state, input, output) {
      switch (input.kind) {
        case "tail":
          return output === undefined || (output.kind === "tail" && output.tail === state.log.tail) ? state : undefined;
        case "fence":
          return stepFence(state, input.token, output);
        case "append":
          return stepAppend(state, input, output, append);
        default:
          return assertNever(input);
      }
    },
    stateKey: ({ log, fence }) => `${log.number},${fence}`,
    // A refusal in a session is remembered.
    onlyLooks: (input, { kind }) =>
      kind === "tail" || (kind === "refused" && (input.kind !== "append" || input.guards.session === undefined)),
    inputKey: (input) => JSON.stringify(input),
    describeState: ({ log, fence }) => `tail ${log.tail}, fence ${fence}`,
    describe: (input, output) => `${JSON.stringify(input)} -> ${output === undefined ? "?" : JSON.stringify(output)}`,
  };
}

function stepFence(state: LogState, token: number, output: LogOutput | undefined): LogState | undefined {
  const { log, fence } = state;
  if (token < fence) {
    const refusal = { guard: "fencingToken", index: 0, actual: fence, tail: log.tail } as const;
    return isRefusedWith([refusal], output) ? state : undefined;
  }
  const isRight =
    output === undefined || (output.kind === "fenced" && output.fence === token && output.tail === log.tail);
  if (!isRight) return undefined;
  return token === fence ? state : { log, fence: token };
}

function stepAppend(
  state: LogState,
  input: AppendInput,
  output: LogOutput | undefined,
  append: Continue,
): LogState | undefined {
  const { log, fence } = state;
  const { session } = input.guards;
  const attempt = firstAttempt(log, session);
  if (attempt !== undefined) return isAnswerOf(attempt, output) ? state : undefined;
  const refusals = refusalsOf(state, input.guards);
  if (refusals.length > 0) {
    if (!isRefusedWith(refusals, output)) return undefined;
    return session === undefined ? state : { log: append(log, input, refusals), fence };
  }
  const isRight = output === undefined || (output.kind === "appended" && output.first === log.tail);
  return isRight ? { log: append(log, input, refusals), fence } : undefined;
}

function isAnswerOf({ before, refusals }: Batch, output: LogOutput | undefined): boolean {
  if (refusals.length > 0) return isRefusedWith(refusals, output);
  return output === undefined || (output.kind === "appended" && output.first === before.tail);
}

function isRefusedWith(refusals: readonly Facts[], output: LogOutput | undefined): boolean {
  if (output === undefined) return true;
  if (output.kind !== "refused") return false;
  const { guard, actual, index, tail } = output.refusal;
  return refusals.some(
    (right) =>
      right.guard === guard &&
      right.actual === actual &&
      (index === undefined || right.index === index) &&
      (tail === undefined || right.tail === tail),
  );
}

/** The batch of the same request of the session, if it came before. */
function firstAttempt(log: Prefix, session: Guards["session"]): Batch | undefined {
  if (session === undefined) return undefined;
  const key = sessionKey(session.id);
  for (let prefix = log.newest.get(key); prefix !== undefined; prefix = olderThan(prefix, key)) {
    const batch = prefix.last!;
    if (batch.serial === session.serial) return batch;
    // Its requests are in flight over a window: what is that far back came before.
    if (batch.serial + 2 * limits.sessionWindow < session.serial) return undefined;
  }
  return undefined;
}

/** Every guard that fails, with its facts. */
function refusalsOf({ log, fence }: LogState, guards: Guards): Facts[] {
  const { expectedTail, fencingToken, conditions = [], streams = [] } = guards;
  const refusals: Facts[] = [];
  const refuse = (guard: Refusal["guard"], index: number, actual: number): void => {
    refusals.push({ guard, index, actual, tail: log.tail });
  };
  if (expectedTail !== undefined && expectedTail !== log.tail) refuse("expectedTail", 0, log.tail);
  if (fencingToken !== undefined && fencingToken < fence) refuse("fencingToken", 0, fence);
  for (const [index, condition] of conditions.entries()) {
    const position = firstConflict(log, condition);
    if (position !== undefined) refuse("condition", index, position);
  }
  for (const [index, stream] of streams.entries()) {
    const revision = revisionOf(log, stream.tag);
    if (!isExpected(stream.expected, revision)) refuse("stream", index, revision);
  }
  return refusals;
}

/** The first record behind the condition's position that matches. */
function firstConflict(log: Prefix, { query, after }: Condition): number | undefined {
  const positions = query.items
    .map((item) => firstMatch(log, item, after))
    .filter((position) => position !== undefined);
  return positions.length === 0 ? undefined : Math.min(...positions);
}

/** Walks back, by the batches that bear the item's first tag where it has one. */
function firstMatch(log: Prefix, item: QueryItem, after: number): number | undefined {
  const key = item.tags[0] === undefined ? undefined : tagKey(item.tags[0]);
  let found: number | undefined;
  let prefix = key === undefined ? log : log.newest.get(key);
  while (prefix?.last !== undefined && prefix.tail - 1 > after) {
    const { before, records } = prefix.last;
    const index = records.findIndex((record, at) => before.tail + at > after && matches(record, item));
    if (index >= 0) found = before.tail + index;
    prefix = key === undefined ? before : before.newest.get(key);
  }
  return found;
}

function matches(record: RecordLabels, { types, tags }: QueryItem): boolean {
  return (types.length === 0 || types.includes(record.type)) && tags.every((tag) => record.tags.includes(tag));
}

/** The position of the last record that bears the tag; 0 for none. */
function revisionOf(log: Prefix, tag: string): number {
  const newest = log.newest.get(tagKey(tag));
  if (newest === undefined) return 0;
  const { before, records } = newest.last!;
  return before.tail + records.findLastIndex((record) => record.tags.includes(tag));
}

function isExpected(expected: StreamGuard["expected"], revision: number): boolean {
  switch (expected) {
    case "any":
      return true;
    case "noStream":
      return revision === 0;
    case "streamExists":
      return revision > 0;
    default:
      return revision === expected;
  }
}

const olderThan = (prefix: Prefix, key: string): Prefix | undefined => prefix.last!.before.newest.get(key);
const tagKey = (tag: string): string => `tag ${tag}`;
const sessionKey = (id: number): string => `session ${id}`;
