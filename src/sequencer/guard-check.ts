import { limits } from "../base/limits.ts";
import { hashOfText, type TagHash } from "../base/tag-hash.ts";
import { firstPosition, type Position } from "../base/types.ts";
import type { Condition, Guards, Query, Refusal, StreamGuard } from "../core/guards.ts";
import type { EntryParts, EntrySource, HistoryAnswer, HistoryQuery } from "../core/sequencer.ts";
import type { LogState } from "./log-state.ts";
import { type WalkedEntry, WindowWalk } from "./window-walk.ts";

/** What the guards say: nothing where all hold. */
export type GuardVerdict =
  | { readonly kind: "refused"; readonly refusal: Refusal }
  | { readonly kind: "unseen"; readonly query: HistoryQuery }
  | undefined;

/** The range of positions that a guard asks about, and for which of the records that match. */
type Asked = Pick<HistoryQuery, "guard" | "index" | "query" | "want">;
type Found =
  | { readonly kind: "found"; readonly match: Position | 0 }
  | { readonly kind: "unseen"; readonly query: HistoryQuery };

const none: Found = { kind: "found", match: 0 };

/**
 * Judges the guards of an append against the log as it was ordered so far. A guard over types and tags asks for the first or the
 * last record of a range that matches. The window names the entries that may hold one, by hash; each is verified on its bytes. What
 * the window does not cover, what is not in memory any more, and what would take too long is asked of the history, piece by piece.
 */
export class GuardCheck {
  readonly #state: LogState;
  readonly #parts: EntryParts;

  constructor(state: LogState, parts: EntryParts) {
    this.#state = state;
    this.#parts = parts;
  }

  check(guards: Guards, log: EntrySource, seen: readonly HistoryAnswer[]): GuardVerdict {
    const { fence, nextPosition } = this.#state;
    if (guards.fencingToken !== undefined && guards.fencingToken < fence) return this.#refuse("fencingToken", 0, fence);
    if (guards.expectedTail !== undefined && guards.expectedTail !== nextPosition) {
      return this.#refuse("expectedTail", 0, nextPosition);
    }
    for (const [index, stream] of (guards.streams ?? []).entries()) {
      const verdict = this.#stream(stream, index, log, seen);
      if (verdict !== undefined) return verdict;
    }
    for (const [index, condition] of (guards.conditions ?? []).entries()) {
      const verdict = this.#condition(condition, index, log, seen);
      if (verdict !== undefined) return verdict;
    }
    return undefined;
  }

  #refuse(guard: Refusal["guard"], index: number, actual: number): GuardVerdict {
    return { kind: "refused", refusal: { guard, index, actual, tail: this.#state.nextPosition } };
  }

  /** What is below the head is not in the log any more, for guards as for readers. */
  #readable(from: Position): Position {
    const head = this.#state.retained.ordered.head.position;
    return from > head ? from : head;
  }

  #condition(
    { query, after }: Condition,
    index: number,
    log: EntrySource,
    seen: readonly HistoryAnswer[],
  ): GuardVerdict {
    const from = this.#readable((after + 1) as Position);
    if (from >= this.#state.nextPosition) return undefined;
    // An item that asks for nothing matches every record.
    if (query.items.some(({ types, tags }) => types.length === 0 && tags.length === 0)) {
      return this.#refuse("condition", index, from);
    }
    const found = this.#search({ guard: "condition", index, query, want: "first" }, from, log, seen);
    if (found.kind === "unseen") return found;
    return found.match === 0 ? undefined : this.#refuse("condition", index, found.match);
  }

  #stream(
    { tag, expected }: StreamGuard,
    index: number,
    log: EntrySource,
    seen: readonly HistoryAnswer[],
  ): GuardVerdict {
    if (expected === "any") return undefined;
    const query: Query = { items: [{ types: [], tags: [tag] }] };
    const asked: Asked = { guard: "stream", index, query, want: "last" };
    // The revision that is expected is likely to be right: what is older matters only where it is not.
    const begin = this.#readable(firstPosition);
    const from = typeof expected === "number" && expected < this.#state.nextPosition ? this.#readable(expected) : begin;
    let found = this.#search(asked, from, log, seen);
    if (found.kind === "found" && found.match === 0 && from > begin) found = this.#search(asked, begin, log, seen);
    if (found.kind === "unseen") return found;
    const holds =
      expected === "noStream"
        ? found.match === 0
        : expected === "streamExists"
          ? found.match > 0
          : found.match === expected;
    return holds ? undefined : this.#refuse("stream", index, found.match);
  }

  /** The first or last record from `from` on that matches. */
  #search(asked: Asked, from: Position, log: EntrySource, seen: readonly HistoryAnswer[]): Found {
    const { window, nextPosition } = this.#state;
    const range = { begin: from, end: nextPosition, stepsMax: limits.guardStepsMax };
    const walk = new WindowWalk(window, hashSetsOf(asked.query), range);
    const answers = seen.filter(({ query }) => query.guard === asked.guard && query.index === asked.index);
    const older = () => askHistory(asked, from, walk.from, answers);
    const newer = () => this.#verify(asked, from, walk.inOrder(asked.want), log, answers);
    const [one, other] = asked.want === "first" ? [older, newer] : [newer, older];
    const found = one();
    return found.kind === "unseen" || found.match !== 0 ? found : other();
  }

  /** The first of these entries, in this order, that holds what is asked for. */
  #verify(
    asked: Asked,
    from: Position,
    candidates: readonly WalkedEntry[],
    log: EntrySource,
    answers: readonly HistoryAnswer[],
  ): Found {
    let bytes = 0;
    for (const candidate of candidates) {
      const begin = (candidate.first > from ? candidate.first : from) as Position;
      const slot = log.slotOfPosition(candidate.first, log.acceptedEnd);
      const entry = slot === undefined ? undefined : log.at(slot);
      bytes += entry === undefined ? 0 : entry.bytes.length;
      if (entry === undefined || bytes > limits.guardBatchBytesMax) {
        const found = askHistory(asked, begin, candidate.end, answers);
        if (found.kind === "unseen" || found.match !== 0) return found;
        continue;
      }
      const match = this.#parts.match(entry, { ...asked, from: begin, end: candidate.end });
      if (match !== 0) return { kind: "found", match };
    }
    return none;
  }
}

/** Of one of these sets an entry bears all hashes where one of its records matches: all tags of an item, or one of its types. */
function hashSetsOf({ items }: Query): TagHash[][] {
  return items.flatMap(({ types, tags }) =>
    tags.length > 0 ? [tags.map((tag) => hashOfText(tag, "tag"))] : types.map((type) => [hashOfText(type, "type")]),
  );
}

/** What the history said of [from, end), or the first part of it that it has not been asked about. */
function askHistory(asked: Asked, from: Position, end: Position, answers: readonly HistoryAnswer[]): Found {
  if (from >= end) return none;
  let match: Position | 0 = 0;
  let covered = from;
  while (covered < end) {
    const next = answers.find((answer) => saysOf(answer, covered, end));
    if (next === undefined) return { kind: "unseen", query: { ...asked, from: covered, end } };
    const isInside = next.match >= from && next.match < end;
    if (isInside && (asked.want === "last" || match === 0)) match = next.match;
    if (match !== 0 && asked.want === "first") break;
    covered = next.query.end;
  }
  return { kind: "found", match };
}

/** Whether an answer speaks of `from`. One record of its range is all it names: what lies behind that one it leaves open. */
function saysOf({ query, match }: HistoryAnswer, from: Position, end: Position): boolean {
  if (query.from > from || query.end <= from) return false;
  if (match === 0) return true;
  return query.want === "first" ? match >= from : match < end;
}
