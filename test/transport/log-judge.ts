import type { PaxlogError } from "../../src/base/errors.ts";
import type { Position } from "../../src/base/types.ts";
import type { Guards, QueryItem, Refusal } from "../../src/core/guards.ts";
import { decodeBatch } from "../../src/format/batch-decode.ts";
import { fenceRefused, guardRefused, sessionGap, sessionUnknown } from "../../src/runtime/append-errors.ts";

interface Labels {
  readonly type: string | undefined;
  readonly tags: readonly string[];
}

export interface FirstAnswer {
  readonly firstPosition: Position;
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
  #fence = 0;
  #tail = 1;
  /** Labels of position p at index p - 1, of the batches that were looked at yet. */
  readonly #labels: Labels[] = [];
  readonly #unseen: Uint8Array[] = [];
  readonly #sessions = new Map<number, TestSession>();
  #sessionCount = 0;

  /** The answer that a session's request got before; a refusal; or undefined: it is to be ordered now. */
  judge(guards: Guards | undefined): FirstAnswer | PaxlogError | undefined {
    if (guards === undefined) return undefined;
    if (guards.session === undefined) return this.#refusalError(guards);
    const { id, serial } = guards.session;
    const answers = this.#sessions.get(id)?.answers;
    if (answers === undefined) return sessionUnknown();
    const first = answers.get(serial);
    if (first !== undefined) return first;
    const serials = [...answers.keys()];
    if (serials.length > 256 && serial < serials.at(-256)!) return sessionUnknown();
    if (serial < (serials.at(-1) ?? 0)) return sessionGap();
    const refusal = this.#refusalError(guards);
    if (refusal !== undefined) answers.set(serial, refusal);
    return refusal;
  }

  /** Takes down what was ordered. */
  ordered(batch: Uint8Array, guards: Guards | undefined, answer: FirstAnswer): void {
    this.#unseen.push(batch);
    this.#tail += answer.recordCount;
    const { session } = guards ?? {};
    if (session !== undefined) this.#sessions.get(session.id)!.answers.set(session.serial, answer);
  }

  openSession(ttlMs: number): { session: number; ttlMs: number; time: number } {
    const session = 1000 + this.#sessionCount;
    this.#sessionCount += 1;
    this.#sessions.set(session, { ttlMs: ttlMs || 60_000, answers: new Map() });
    return { session, ttlMs: ttlMs || 60_000, time: 1_000 };
  }

  keepSession(id: number): { ttlMs: number; time: number } | PaxlogError {
    const known = this.#sessions.get(id);
    return known === undefined ? sessionUnknown() : { ttlMs: known.ttlMs, time: 2_000 };
  }

  /** Also what happens to one that expires. */
  forget(id: number): PaxlogError | undefined {
    return this.#sessions.delete(id) ? undefined : sessionUnknown();
  }

  raiseFence(token: number): { fence: number; tail: Position } | PaxlogError {
    const tail = this.#tail as Position;
    if (token < this.#fence) return fenceRefused({ guard: "fencingToken", index: 0, actual: this.#fence, tail }, token);
    this.#fence = token;
    return { fence: token, tail };
  }

  #refusalError(guards: Guards): PaxlogError | undefined {
    const refusal = this.#refusal(guards);
    return refusal === undefined ? undefined : guardRefused({ ...refusal, tail: this.#tail as Position }, guards);
  }

  #refusal(guards: Guards): Omit<Refusal, "tail"> | undefined {
    const { expectedTail = this.#tail, fencingToken = this.#fence, conditions = [], streams = [] } = guards;
    if (expectedTail !== this.#tail) return { guard: "expectedTail", index: 0, actual: this.#tail };
    if (fencingToken < this.#fence) return { guard: "fencingToken", index: 0, actual: this.#fence };
    this.#look();
    for (const [index, { query, after }] of conditions.entries()) {
      const hit = this.#labels.findIndex(
        (labels, at) => at + 1 > after && query.items.some((item) => matches(item, labels)),
      );
      if (hit >= 0) return { guard: "condition", index, actual: hit + 1 };
    }
    for (const [index, { tag, expected }] of streams.entries()) {
      const actual = this.#labels.findLastIndex(({ tags }) => tags.includes(tag)) + 1;
      const holds =
        expected === "any" ||
        expected === actual ||
        (expected === "noStream" && actual === 0) ||
        (expected === "streamExists" && actual > 0);
      if (!holds) return { guard: "stream", index, actual };
    }
    return undefined;
  }

  #look(): void {
    for (const batch of this.#unseen.splice(0)) {
      for (const { type, tags } of decodeBatch(batch)) this.#labels.push({ type, tags });
    }
  }
}

function matches({ types, tags }: QueryItem, labels: Labels): boolean {
  return (types.length === 0 || types.includes(labels.type ?? "")) && tags.every((tag) => labels.tags.includes(tag));
}
