import type { Position } from "../base/types.ts";

/** What one append demands of the log. Evaluated by the leader's sequencer at the moment of ordering, all or nothing (protocol 14). */
export interface Guards {
  /** The next position to be assigned must be this one. */
  readonly expectedTail?: Position;
  /** Refused where the log's fence is above it. */
  readonly fencingToken?: number;
  /** Exactly once: the same session and serial land once, and get the first answer again. */
  readonly session?: SessionRequest;
  readonly conditions?: readonly Condition[];
  readonly streams?: readonly StreamGuard[];
}

export interface SessionRequest {
  /** The slot of the entry that opened it. */
  readonly id: number;
  /** From 1, ascending; one that a later one overtook is refused (SESSION_GAP). Up to limits.sessionWindow of one session are in flight. */
  readonly serial: number;
}

/** Refused if a record behind position `after` matches; 0 for the whole log. */
export interface Condition {
  readonly query: Query;
  readonly after: Position | 0;
}

/** Matches a record that matches one of the items. */
export interface Query {
  readonly items: readonly QueryItem[];
}

/** Matches a record that has one of the types (any, where none is named) and all of the tags. */
export interface QueryItem {
  readonly types: readonly string[];
  readonly tags: readonly string[];
}

/** A stream is all records that bear a tag; its revision is the position of the last of them. */
export interface StreamGuard {
  readonly tag: string;
  readonly expected: "any" | "noStream" | "streamExists" | Position;
}

/** Which guard failed and what the sequencer saw. What was expected stands in the request. */
export interface Refusal {
  readonly guard: "expectedTail" | "fencingToken" | "condition" | "stream";
  /** Which of the conditions or of the streams; 0 for the others. */
  readonly index: number;
  /** The log's tail, its fence, the position of the first conflicting record, or the stream's revision (0: no record). */
  readonly actual: number;
  /** The next position to be assigned when the append was judged. */
  readonly tail: Position;
}
