import { PaxlogError } from "../../src/base/errors.ts";
import type { Guards, QueryItem } from "../../src/core/guards.ts";
import { decodeBatch } from "../../src/format/batch-decode.ts";

interface Labels {
  readonly type: string | undefined;
  readonly tags: readonly string[];
}

export interface FirstAnswer {
  readonly firstPosition: number;
  readonly recordCount: number;
  readonly time: number;
}

interface TestSession {
  readonly ttlMs: number;
  /** By serial, which ascend. */
  readonly answers: Map<number, FirstAnswer | PaxlogError>;
}

/** Judges guards and sessions by looking at the whole log each time: slow, and easy to believe. */
export class LogJudge {
  fence = 0;
  /** Label of position p at index p - 1. */
  readonly #labels: Labels[] = [];
  readonly #sessions = new Map<number, TestSession>();
  #sessionCount = 0;

  get tail(): number {
    return this.#labels.length + 1;
  }

  /** The answer that a session's request got before; a refusal; or undefined: it is to be ordered now. */
  judge(guards: Guards | undefined): FirstAnswer | PaxlogError | undefined {
    if (guards === undefined) return undefined;
    const { session } = guards;
    if (session !== undefined) {
      const known = this.#sessions.get(session.id);
      if (known === undefined) return sessionUnknown(session.id);
      const first = known.answers.get(session.serial);
      if (first !== undefined) return first;
      const serials = [...known.answers.keys()];
      if (session.serial < (serials.at(-256) ?? 0)) return sessionUnknown(session.id);
      if (session.serial < (serials.at(-1) ?? 0))
        return new PaxlogError("SESSION_GAP", "a later one was ordered first");
      const refusal = this.#refusal(guards);
      if (refusal !== undefined) known.answers.set(session.serial, refusal);
      return refusal;
    }
    return this.#refusal(guards);
  }

  /** Takes down what was ordered. */
  ordered(batch: Uint8Array, guards: Guards | undefined, answer: FirstAnswer): void {
    for (const record of decodeBatch(batch)) this.#labels.push({ type: record.type, tags: record.tags });
    const { session } = guards ?? {};
    if (session !== undefined) this.#sessions.get(session.id)!.answers.set(session.serial, answer);
  }

  openSession(ttlMs: number): { session: number; ttlMs: number; time: number } {
    this.#sessionCount += 1;
    const session = 100 + this.#sessionCount;
    this.#sessions.set(session, { ttlMs: ttlMs || 60_000, answers: new Map() });
    return { session, ttlMs: ttlMs || 60_000, time: 1000 };
  }

  keepSession(id: number): { ttlMs: number; time: number } | PaxlogError {
    const known = this.#sessions.get(id);
    return known === undefined ? sessionUnknown(id) : { ttlMs: known.ttlMs, time: 1000 };
  }

  /** Also what happens to one that expires. */
  forget(id: number): PaxlogError | undefined {
    return this.#sessions.delete(id) ? undefined : sessionUnknown(id);
  }

  raiseFence(token: number): { fence: number; tail: number } | PaxlogError {
    if (token < this.fence) return this.#fenced(token);
    this.fence = token;
    return { fence: token, tail: this.tail };
  }

  #refusal({ expectedTail, fencingToken, conditions = [], streams = [] }: Guards): PaxlogError | undefined {
    const { tail } = this;
    if (expectedTail !== undefined && expectedTail !== tail) {
      return refusal("TAIL_MISMATCH", { guard: "expectedTail", expected: expectedTail, actual: tail, tail });
    }
    if (fencingToken !== undefined && fencingToken < this.fence) return this.#fenced(fencingToken);
    for (const [index, { query, after }] of conditions.entries()) {
      const hit = this.#labels.findIndex(
        (labels, at) => at + 1 > after && query.items.some((item) => matches(item, labels)),
      );
      if (hit >= 0) return refusal("CONDITION_FAILED", { guard: "condition", index, position: hit + 1, tail });
    }
    for (const [index, { tag, expected }] of streams.entries()) {
      const actual = this.#labels.findLastIndex(({ tags }) => tags.includes(tag)) + 1;
      const holds =
        expected === "any" ||
        (expected === "noStream" ? actual === 0 : expected === "streamExists" ? actual > 0 : false);
      if (holds || expected === actual) continue;
      return refusal("STREAM_REVISION_MISMATCH", { guard: "stream", index, tag, expected, actual, tail });
    }
    return undefined;
  }

  #fenced(token: number): PaxlogError {
    return refusal("FENCED", { guard: "fencingToken", token, fence: this.fence, tail: this.tail });
  }
}

function refusal(code: PaxlogError["code"], facts: PaxlogError["facts"]): PaxlogError {
  return new PaxlogError(code, `refused by ${facts.guard}`, { facts });
}

function sessionUnknown(session: number): PaxlogError {
  return new PaxlogError("SESSION_UNKNOWN", "the log knows no such session", {
    outcome: "unknown",
    facts: { session },
  });
}

function matches({ types, tags }: QueryItem, labels: Labels): boolean {
  return (types.length === 0 || types.includes(labels.type ?? "")) && tags.every((tag) => labels.tags.includes(tag));
}
