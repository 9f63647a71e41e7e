import { PaxlogError } from "../base/errors.ts";
import type { Query } from "../core/guards.ts";
import type { Direction, Freshness, ReadRequest } from "../format/api-codec.ts";
import { checkedQuery } from "./append-options.ts";
import type { ReadFreshness, ReadNotice, ReadOptions, ReadPlace } from "./read-options.ts";

/** The options of a read with nothing left open. */
export interface ReadPlan {
  readonly start: ReadStart;
  readonly to: number | undefined;
  readonly toTime: number | undefined;
  /** Infinity: no limit; so for the next one. */
  readonly limit: number;
  readonly maxBytes: number;
  readonly direction: Direction;
  readonly query: Query | undefined;
  readonly follow: boolean;
  readonly freshness: Freshness;
  readonly signal: AbortSignal | undefined;
  readonly onCaughtUp: ((tail: number) => void) | undefined;
  readonly onNotice: ((notice: ReadNotice) => void) | undefined;
}

/** Where a read begins, in the words of a request. */
export type ReadStart = Pick<ReadRequest, "from" | "fromTime" | "beforeTail">;

/** Throws INVALID_ARGUMENT that names everything that is wrong. */
export function planOf(options: ReadOptions): ReadPlan {
  const check = new PlanCheck();
  const { direction = "forward", follow = false, limit, maxBytes, query, to } = options;
  if (direction !== "forward" && direction !== "backward") check.fault('direction must be "forward" or "backward"');
  if (follow && direction === "backward") check.fault("a read that follows goes forward");
  const plan: ReadPlan = {
    start: options.from === undefined ? { from: 0 } : check.start(options.from),
    to: typeof to === "number" ? check.whole(to, direction === "forward" ? 1 : 0, "to") : undefined,
    toTime: to === undefined || typeof to === "number" ? undefined : check.time(to?.time, "to.time"),
    limit: limit === undefined ? Number.POSITIVE_INFINITY : check.limit(limit, 0, "limit"),
    maxBytes: maxBytes === undefined ? Number.POSITIVE_INFINITY : check.limit(maxBytes, 1, "maxBytes"),
    direction,
    follow,
    freshness: check.freshness(options.freshness),
    query: query === undefined ? undefined : checkedQuery(query),
    signal: options.signal,
    onCaughtUp: options.onCaughtUp,
    onNotice: options.onNotice,
  };
  check.end();
  return plan;
}

/** How fresh a question wants its answer. Throws INVALID_ARGUMENT. */
export function checkedFreshness(freshness: ReadFreshness | undefined): Freshness {
  const check = new PlanCheck();
  const checked = check.freshness(freshness);
  check.end();
  return checked;
}

class PlanCheck {
  readonly #faults: string[] = [];

  fault(text: string): void {
    this.#faults.push(text);
  }

  whole(value: number, min: number, name: string): number {
    if (!Number.isSafeInteger(value) || value < min) this.fault(`${name} must be a whole number from ${min}`);
    return value;
  }

  limit(value: number, min: number, name: string): number {
    return value === Number.POSITIVE_INFINITY ? value : this.whole(value, min, name);
  }

  time(value: number | Date, name: string): number {
    const milliseconds = value instanceof Date ? value.getTime() : value;
    if (!Number.isSafeInteger(milliseconds) || milliseconds < 0) {
      this.fault(`${name} must be a Date, or whole milliseconds since 1970`);
    }
    return milliseconds;
  }

  start(place: ReadPlace): ReadStart {
    if (typeof place === "number") return { from: this.whole(place, 1, "from") };
    // As many records before the tail as there can be: the node stops at the head.
    if (place === "head") return { from: 0, beforeTail: Number.MAX_SAFE_INTEGER };
    if (place === "tail") return { from: 0, beforeTail: 0 };
    if (typeof place === "object" && place !== null) {
      if ("time" in place) return { from: 0, fromTime: this.time(place.time, "from.time") };
      const { tail } = place;
      if (Number.isSafeInteger(tail) && tail <= 0) return { from: 0, beforeTail: -tail };
    }
    this.fault('from must be a position, "head", "tail", { tail: -count } or { time }');
    return { from: 0 };
  }

  freshness(freshness: ReadFreshness = "linearizable"): Freshness {
    if (freshness === "linearizable" || freshness === "local") return freshness;
    if (typeof freshness === "object" && freshness !== null) {
      return { atLeast: this.whole(freshness.atLeast, 0, "freshness.atLeast") };
    }
    this.fault('freshness must be "linearizable", "local" or { atLeast: position }');
    return "linearizable";
  }

  /** Throws if anything was wrong. */
  end(): void {
    if (this.#faults.length > 0) throw new PaxlogError("INVALID_ARGUMENT", this.#faults.join("; "));
  }
}
