import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
import type { Condition, Guards, Query, QueryItem, StreamGuard } from "../core/guards.ts";
import { isWellFormed } from "../format/utf8.ts";
import type {
  AppendCondition,
  AppendOptions,
  RecordQuery,
  RecordQueryItem,
  SessionOptions,
  StreamExpectation,
} from "./log.ts";

/** What the caller demands, but for the session; undefined where it is nothing. */
export type DemandedGuards = Omit<Guards, "session">;

/**
 * The guards that the options ask for. Throws INVALID_ARGUMENT that names every fault: a guard that was mistyped must never be
 * taken for one that was left out.
 */
export function guardsOf(options: Omit<AppendOptions, "session">): DemandedGuards | undefined {
  const { expectedTail, fencingToken, condition, stream, streams } = options;
  if (
    expectedTail === undefined &&
    fencingToken === undefined &&
    condition === undefined &&
    stream === undefined &&
    streams === undefined
  ) {
    return undefined;
  }
  const check = new GuardCheck();
  const conditions = condition === undefined ? [] : check.conditions(condition);
  const expectations = check.streams(stream, streams);
  const guards: DemandedGuards = {
    ...(expectedTail === undefined ? {} : { expectedTail: check.position(expectedTail, "expectedTail") }),
    ...(fencingToken === undefined ? {} : { fencingToken: check.whole(fencingToken, 0, "fencingToken") }),
    ...(conditions.length === 0 ? {} : { conditions }),
    ...(expectations.length === 0 ? {} : { streams: expectations }),
  };
  check.end();
  return Object.keys(guards).length === 0 ? undefined : guards;
}

/** The query of a read. Throws INVALID_ARGUMENT that names every fault. */
export function checkedQuery(query: RecordQuery): Query {
  const check = new GuardCheck();
  const items = check.queryItems(query, "query");
  check.end();
  return { items };
}

/** The token of a fence. Throws INVALID_ARGUMENT. */
export function checkToken(token: number): number {
  const check = new GuardCheck();
  check.whole(token, 0, "the token of a fence");
  check.end();
  return token;
}

/** How to open or take up a session, with nothing left open. A ttl of 0: as the log likes. Throws INVALID_ARGUMENT. */
export function checkedSession({ ttlMs = 0, announceEnd = false, resume, signal }: SessionOptions): CheckedSession {
  const check = new GuardCheck();
  check.flag(announceEnd, "announceEnd");
  if (ttlMs !== 0) check.whole(ttlMs, 1, "ttlMs");
  if (resume !== undefined) {
    check.whole(resume?.id, 1, "resume.id");
    check.whole(resume?.nextSerial, 1, "resume.nextSerial");
  }
  check.end();
  return { ttlMs, announceEnd, resume, signal };
}

export interface CheckedSession extends Required<SessionOptions> {
  readonly ttlMs: number;
  readonly announceEnd: boolean;
}

const expectations: ReadonlySet<unknown> = new Set(["any", "noStream", "streamExists"]);

/** Goes through the guards of one call and gathers what is wrong with them. */
class GuardCheck {
  readonly #faults: string[] = [];

  whole(value: number, min: number, name: string): number {
    if (!Number.isSafeInteger(value) || value < min) this.#faults.push(`${name} must be a whole number from ${min}`);
    return value;
  }

  flag(value: boolean, name: string): void {
    if (typeof value !== "boolean") this.#faults.push(`${name} must be true or false`);
  }

  position(value: number, name: string): Position {
    return this.whole(value, 1, name) as Position;
  }

  conditions(given: AppendCondition | readonly AppendCondition[]): Condition[] {
    return this.#list(given, "condition", (each: AppendCondition, name) => ({
      query: { items: this.queryItems(each.query, `${name}.query`) },
      after: this.whole(each.after, 0, `${name}.after`) as Position | 0,
    }));
  }

  streams(one: StreamExpectation | undefined, many: readonly StreamExpectation[] | undefined): StreamGuard[] {
    if (many !== undefined && !Array.isArray(many)) this.#faults.push("streams must be an array");
    const all = [
      ...(one === undefined ? [] : this.#list(one, "stream", (each, name) => this.#stream(each, name))),
      ...(Array.isArray(many) ? this.#list(many, "streams", (each, name) => this.#stream(each, name)) : []),
    ];
    if (new Set(all.map(({ tag }) => tag)).size < all.length) this.#faults.push("a stream is named twice");
    return all;
  }

  /** Throws if anything was wrong. */
  end(): void {
    if (this.#faults.length > 0) throw new PaxlogError("INVALID_ARGUMENT", this.#faults.join("; "));
  }

  #stream({ tag, expected }: StreamExpectation, name: string): StreamGuard {
    if (!expectations.has(expected) && !(Number.isSafeInteger(expected) && (expected as number) >= 1)) {
      this.#faults.push(`${name}.expected must be a position, "any", "noStream" or "streamExists"`);
    }
    return { tag: this.#text(tag, limits.tagBytesMax, `${name}.tag`), expected: expected as StreamGuard["expected"] };
  }

  queryItems(query: RecordQuery, name: string): QueryItem[] {
    const items = this.#list(query, name, (item: RecordQueryItem, of) => this.#item(item, of));
    if (Array.isArray(query) && query.length === 0) this.#faults.push(`${name} needs at least one item`);
    return items;
  }

  /** What is misspelled asks for nothing, and so would match every record. */
  #item(item: RecordQueryItem, name: string): QueryItem {
    const { types, tags, ...others } = item;
    for (const key of Object.keys(others)) this.#faults.push(`${name}.${key} is not known: an item has types and tags`);
    return {
      types: this.#texts(types, limits.typeBytesMax, `${name}.types`),
      tags: this.#texts(tags, limits.tagBytesMax, `${name}.tags`),
    };
  }

  #texts(texts: readonly string[] | undefined, bytesMax: number, name: string): string[] {
    if (texts === undefined) return [];
    if (Array.isArray(texts)) return texts.map((text, index) => this.#text(text, bytesMax, `${name}[${index}]`));
    this.#faults.push(`${name} must be an array of strings`);
    return [];
  }

  /** As a record's types and tags are: what no record can bear would never match, which nobody means. */
  #text(text: string, bytesMax: number, name: string): string {
    if (typeof text !== "string" || !isWellFormed(text) || Buffer.byteLength(text) > bytesMax) {
      this.#faults.push(`${name} must be a string of at most ${bytesMax} bytes`);
    }
    return text;
  }

  /** One thing or an array of them, each an object. */
  #list<T extends object, U>(given: T | readonly T[], name: string, map: (each: T, name: string) => U): U[] {
    const many = Array.isArray(given) ? (given as readonly T[]) : undefined;
    return (many ?? [given as T]).flatMap((each, index) => {
      const own = many === undefined ? name : `${name}[${index}]`;
      if (typeof each === "object" && each !== null) return [map(each, own)];
      this.#faults.push(`${own} must be an object`);
      return [];
    });
  }
}
