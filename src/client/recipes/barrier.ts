import { PaxlogError } from "../../base/errors.ts";
import type { CallOptions } from "../log.ts";
import type { Holding, LogObjects, ObjectSession, SpaceOperation } from "../objects/handles.ts";
import { inSession, keyPart, SessionHolding, waitEnded, watchUntil } from "./membership.ts";

export interface BarrierOptions {
  /** How many must come before any goes on. */
  readonly parties: number;
  /** How long one that gives no sign of life is counted, in log time; 10 s by default. */
  readonly ttlMs?: number | undefined;
}

/** A double barrier: nobody begins before enough are there, and nobody goes away before all of them are done. */
export interface Barrier {
  readonly name: string;
  /** Waits until `parties` are inside at one moment of the log, which all of them see alike. */
  enter(options?: CallOptions): Promise<BarrierVisit>;
}

export interface BarrierVisit extends Holding {
  /** Leaves, and waits until those who were inside with it have left, or their sessions ended. */
  leave(options?: CallOptions): Promise<void>;
}

/** A barrier among all that name it so: each puts a key that is bound to its session. */
export function barrier(log: LogObjects, name: string, { parties, ttlMs = 10_000 }: BarrierOptions): Barrier {
  if (!Number.isSafeInteger(parties) || parties < 1 || parties > partiesMax) {
    throw new PaxlogError("INVALID_ARGUMENT", `parties must be a whole number from 1 to ${partiesMax}`);
  }
  const prefix = `barrier/${keyPart(name)}/`;
  return {
    name,
    enter: ({ signal } = {}) =>
      inSession(log, { ttlMs, signal }, async (session, over) => {
        const inside = await move(session, prefix, "in", over);
        const key = keyOf(session, prefix);
        if (inside.keys.size < parties) {
          // Every change is told once and in its order, so all see the moment at which there are enough.
          const isOpen = await watchUntil(
            session.space(),
            prefix,
            { from: inside.position, signal: over },
            (change) => {
              if (change.entry === undefined) inside.keys.delete(change.key);
              else inside.keys.add(change.key);
              return inside.keys.size >= parties || !inside.keys.has(key);
            },
          );
          if (!isOpen || !inside.keys.has(key)) return waitEnded(session, signal);
        }
        return new Visit(session, prefix);
      }),
  };
}

/** As many keys as surely fit one answer. */
const partiesMax = 256;

const keyOf = (session: ObjectSession, prefix: string): string => `${prefix}${session.id}`;

interface Inside {
  readonly keys: Set<string>;
  /** Everything below it is in the set. */
  readonly position: number;
}

/** Puts the own key or takes it away, and says who is inside at that very place of the log. */
async function move(session: ObjectSession, prefix: string, how: "in" | "out", signal: AbortSignal): Promise<Inside> {
  const key = keyOf(session, prefix);
  const step: SpaceOperation =
    how === "in" ? { kind: "put", key, value: "", bound: true } : { kind: "delete", keys: key };
  const look: SpaceOperation = { kind: "get", keys: { prefix }, keysOnly: true };
  const { position, results } = await session.space().transaction({ success: [step, look] }, { signal });
  const found = results[1];
  const entries = found?.kind === "get" ? found.entries : [];
  return { keys: new Set(entries.map((entry) => entry.key)), position: position + 1 };
}

class Visit extends SessionHolding implements BarrierVisit {
  readonly #prefix: string;

  constructor(session: ObjectSession, prefix: string) {
    super(session);
    this.#prefix = prefix;
  }

  async leave({ signal }: CallOptions = {}): Promise<void> {
    const { session } = this;
    const over = signal === undefined ? session.signal : AbortSignal.any([session.signal, signal]);
    const { keys, position } = await move(session, this.#prefix, "out", over);
    // Who comes in later is none of those that it waits for.
    const isLast = keys.size === 0;
    const allLeft =
      isLast ||
      (await watchUntil(session.space(), this.#prefix, { from: position, signal: over }, (change) => {
        if (change.entry === undefined) keys.delete(change.key);
        return keys.size === 0;
      }));
    if (!allLeft) return waitEnded(session, signal);
    await session.close({ signal });
  }
}
