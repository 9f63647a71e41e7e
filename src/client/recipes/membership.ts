import type { PaxlogError } from "../../base/errors.ts";
import { cancelled } from "../abort.ts";
import type { CallOptions } from "../log.ts";
import type { Holding, Keys, LogObjects, ObjectSession, Space, SpaceChange, SpaceEntry } from "../objects/handles.ts";

/** All keys of a prefix as they are, and as they change. */
export interface Members {
  readonly byKey: ReadonlyMap<string, SpaceEntry>;
  /** Everything below it is in the map: watch from here on. */
  readonly position: number;
}

/**
 * Every entry of the range, over as many answers as it takes. What changes in between is told by a watch from `position` on, which is
 * that of the first answer.
 */
export async function membersOf(space: Space, prefix: string, options: CallOptions = {}): Promise<Members> {
  const byKey = new Map<string, SpaceEntry>();
  let keys: Keys = { prefix };
  let position: number | undefined;
  for (;;) {
    const page = await space.range(keys, options);
    position ??= page.position;
    for (const entry of page.entries) byKey.set(entry.key, entry);
    const last = page.entries.at(-1);
    if (!page.more || last === undefined) return { byKey, position };
    keys = { from: `${last.key}\0`, to: endOf(prefix) };
  }
}

/** The first string behind all with a prefix. Prefixes of recipes end with "/". */
export const endOf = (prefix: string): string => `${prefix.slice(0, -1)}0`;

/** Waits for changes to keys of a prefix until `isOver` says that it is enough. Returns false where the signal ended it. */
export async function watchUntil(
  space: Space,
  prefix: string,
  options: { readonly from: number; readonly signal: AbortSignal },
  isOver: (change: SpaceChange) => boolean,
): Promise<boolean> {
  for await (const change of space.watch({ prefix }, options)) if (isOver(change)) return true;
  return false;
}

/** A session for one participant of a recipe, which is closed where its entering fails. */
export async function inSession<Result>(
  log: LogObjects,
  { ttlMs, signal }: { readonly ttlMs: number; readonly signal?: AbortSignal | undefined },
  enter: (session: ObjectSession, over: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const session = await log.objectSession({ ttlMs, signal });
  try {
    const over = signal === undefined ? session.signal : AbortSignal.any([session.signal, signal]);
    return await enter(session, over);
  } catch (cause) {
    await session.close().catch(() => {});
    throw cause;
  }
}

/** A part of a key that names something of a user's: "/" parts keys. */
export const keyPart = (name: string): string => name.replaceAll("%", "%25").replaceAll("/", "%2F");

/** Why the wait of a participant ended: it gave up, or its session is over. */
export async function waitEnded(session: ObjectSession, signal: AbortSignal | undefined): Promise<never> {
  if (signal?.aborted) throw cancelled(signal, "none");
  throw await session.lost;
}

/** What a recipe's participant holds lasts as long as its session. */
export abstract class SessionHolding implements Holding {
  protected readonly session: ObjectSession;

  constructor(session: ObjectSession) {
    this.session = session;
  }

  get held(): boolean {
    return this.session.held;
  }

  get lost(): Promise<PaxlogError> {
    return this.session.lost;
  }

  get signal(): AbortSignal {
    return this.session.signal;
  }
}
