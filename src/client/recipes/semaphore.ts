import { PaxlogError } from "../../base/errors.ts";
import type { CallOptions } from "../log.ts";
import type { Holding, LogObjects, ObjectSession } from "../objects/handles.ts";
import { inSession, keyPart, membersOf, SessionHolding, waitEnded, watchUntil } from "./membership.ts";

export interface SemaphoreOptions {
  /** How many may be inside at once: the same number for all who use it. */
  readonly permits: number;
  /** How long a permit outlives a holder that gives no sign of life, in log time; 10 s by default. */
  readonly ttlMs?: number | undefined;
}

/** At most so many inside at a time, in the order in which they came. */
export interface Semaphore {
  readonly name: string;
  /** Waits for a permit, until `signal` is aborted. */
  acquire(options?: CallOptions): Promise<Permit>;
}

export interface Permit extends Holding {
  /** Larger than that of every permit that was asked for before. */
  readonly token: number;
  release(options?: CallOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A semaphore among all that name it so. Everybody who wants in puts a key that is bound to his session, and is inside while fewer than
 * `permits` of the keys are older than his.
 */
export function semaphore(log: LogObjects, name: string, { permits, ttlMs = 10_000 }: SemaphoreOptions): Semaphore {
  if (!Number.isSafeInteger(permits) || permits < 1) {
    throw new PaxlogError("INVALID_ARGUMENT", "permits must be a whole number from 1");
  }
  const prefix = `semaphore/${keyPart(name)}/`;
  return {
    name,
    acquire: ({ signal } = {}) =>
      inSession(log, { ttlMs, signal }, async (session, over) => {
        const space = session.space();
        const key = `${prefix}${session.id}`;
        await space.put(key, "", { bound: true, signal: over });
        for (;;) {
          const { byKey, position } = await membersOf(space, prefix, { signal: over });
          const own = byKey.get(key);
          if (own === undefined) return waitEnded(session, signal);
          const older = [...byKey.values()].filter(({ created }) => created < own.created).length;
          if (older < permits) return new HeldPermit(session, own.created);
          const isLeaving = await watchUntil(
            space,
            prefix,
            { from: position, signal: over },
            (change) => !change.entry,
          );
          if (!isLeaving) return waitEnded(session, signal);
        }
      }),
  };
}

class HeldPermit extends SessionHolding implements Permit {
  readonly token: number;

  constructor(session: ObjectSession, token: number) {
    super(session);
    this.token = token;
  }

  release(options?: CallOptions): Promise<void> {
    return this.session.close(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
