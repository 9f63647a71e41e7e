/**
 * What an append demands of the log, on the wire of clients: Guards of proto/paxlog/v1/log.proto. A decoded value is whole and
 * within the types of core/guards.ts; how many and how long its parts may be is for the services to judge.
 */
import type { Position } from "../base/types.ts";
import type { Condition, Guards, Query, QueryItem, SessionRequest, StreamGuard } from "../core/guards.ts";
import { paxlog } from "./generated/wire.js";
import { type Absent, malformed, present, safeNumber, type WireNumber } from "./wire-value.ts";

const { StreamState } = paxlog.v1;

type GuardsBody = paxlog.v1.Guards.$Properties;

/** The message of some guards. */
export function guardsBody(guards: Guards): GuardsBody {
  const { expectedTail, fencingToken, session, conditions = [], streams = [] } = guards;
  return {
    expectedTail: expectedTail ?? null,
    fencingToken: fencingToken ?? null,
    session: session ?? null,
    conditions: conditions.map(({ query, after }) => ({ query: queryBody(query), after })),
    streams: streams.map(streamBody),
  };
}

/** The guards in a message; undefined where it demands nothing. For use inside `decoding`. */
export function guardsOf(body: GuardsBody): Guards | undefined {
  const { expectedTail, fencingToken, session, conditions, streams } = body;
  const guards: Guards = {
    ...(isPresent(expectedTail) && { expectedTail: positionOf(expectedTail, "expected_tail") }),
    ...(isPresent(fencingToken) && { fencingToken: safeNumber(fencingToken, "fencing_token") }),
    ...(isPresent(session) && { session: sessionOf(session) }),
    ...(conditions?.length && { conditions: conditions.map(conditionOf) }),
    ...(streams?.length && { streams: streams.map(streamOf) }),
  };
  return Object.keys(guards).length === 0 ? undefined : guards;
}

const isPresent = <T>(value: T | Absent): value is T => value !== undefined && value !== null;

function positionOf(value: WireNumber, what: string): Position {
  const position = safeNumber(value, what);
  if (position === 0) malformed(`${what} is 0: positions begin at 1`);
  return position as Position;
}

function sessionOf(body: paxlog.v1.SessionRequest.$Properties): SessionRequest {
  const id = safeNumber(body.id, "session.id");
  const serial = safeNumber(body.serial, "session.serial");
  if (id === 0) malformed("session.id is missing");
  if (serial === 0) malformed("session.serial is 0: serials begin at 1");
  return { id, serial };
}

function conditionOf(body: paxlog.v1.Condition.$Properties): Condition {
  const query = queryOf(present(body.query, "condition.query"), "condition.query");
  return { query, after: safeNumber(body.after, "condition.after") as Position | 0 };
}

/** A query in a message; `name` is what it is called there. For use inside `decoding`. */
export function queryOf(body: paxlog.v1.Query.$Properties, name: string): Query {
  const items = body.items ?? [];
  if (items.length === 0) malformed(`${name} has no item; one with neither types nor tags matches every record`);
  return { items: items.map(queryItemOf) };
}

/** The message of a query. */
export function queryBody(query: Query): paxlog.v1.Query.$Properties {
  return { items: query.items.map(queryItemBody) };
}

function queryItemOf(body: paxlog.v1.QueryItem.$Properties): QueryItem {
  return { types: body.types ?? [], tags: body.tags ?? [] };
}

function queryItemBody(item: QueryItem): paxlog.v1.QueryItem.$Properties {
  return { types: item.types as string[], tags: item.tags as string[] };
}

function streamOf(body: paxlog.v1.StreamGuard.$Properties): StreamGuard {
  return { tag: body.tag ?? "", expected: expectationOf(body) };
}

/** A state that this version does not know is refused: to write as if nothing had been demanded would be a lie. */
function expectationOf({ state, revision }: paxlog.v1.StreamGuard.$Properties): StreamGuard["expected"] {
  if (isPresent(revision)) return positionOf(revision, "stream.revision");
  if (state === StreamState.STREAM_STATE_ANY) return "any";
  if (state === StreamState.STREAM_STATE_NO_STREAM) return "noStream";
  if (state === StreamState.STREAM_STATE_EXISTS) return "streamExists";
  return malformed(
    isPresent(state) ? `stream.state ${state} demands nothing known` : "stream has neither state nor revision",
  );
}

function streamBody({ tag, expected }: StreamGuard): paxlog.v1.StreamGuard.$Properties {
  return typeof expected === "number" ? { tag, revision: expected } : { tag, state: streamStates[expected] };
}

const streamStates = {
  any: StreamState.STREAM_STATE_ANY,
  noStream: StreamState.STREAM_STATE_NO_STREAM,
  streamExists: StreamState.STREAM_STATE_EXISTS,
} as const;
