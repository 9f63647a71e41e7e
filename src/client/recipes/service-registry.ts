import { PaxlogError } from "../../base/errors.ts";
import type { CallOptions } from "../log.ts";
import type { Bytes, Holding, LogObjects, ObjectSession, SpaceEntry } from "../objects/handles.ts";
import type { StoredBytes } from "../objects/stored-bytes.ts";
import { inSession, keyPart, membersOf, SessionHolding } from "./membership.ts";

export interface RegistryOptions {
  /** How long an instance that gives no sign of life stays listed, in log time; 10 s by default. */
  readonly ttlMs?: number | undefined;
}

/** Which instances of a service there are, by what they said of themselves. */
export interface ServiceRegistry {
  readonly service: string;
  /** Lists an instance for as long as this process lives. LEASE_TAKEN where another session has an instance of this id. */
  register(id: string, value: Bytes, options?: CallOptions): Promise<Registration>;
  /** Those that are listed, by id. */
  instances(options?: CallOptions): Promise<ReadonlyMap<string, StoredBytes>>;
  /** Those that are listed, then each that comes, changes or goes; nothing missed. Ends with the signal. */
  watch(options?: CallOptions): AsyncIterable<InstanceChange>;
}

export interface Registration extends Holding {
  readonly id: string;
  /** Changes what the others see. @throws PaxlogError LEASE_LOST */
  update(value: Bytes, options?: CallOptions): Promise<void>;
  close(options?: CallOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface InstanceChange {
  readonly id: string;
  /** undefined: it is gone. */
  readonly value: StoredBytes | undefined;
}

/** A registry of one service: each instance is a key that is bound to its session. */
export function serviceRegistry(log: LogObjects, service: string, options: RegistryOptions = {}): ServiceRegistry {
  const { ttlMs = 10_000 } = options;
  const prefix = `service/${keyPart(service)}/`;
  const idOf = (key: string): string => unescaped(key.slice(prefix.length));
  return {
    service,
    register: (id, value, { signal } = {}) =>
      inSession(log, { ttlMs, signal }, async (session, over) => {
        const key = `${prefix}${keyPart(id)}`;
        await putOwn(session, key, { id, value, signal: over, isNew: true });
        return new OwnRegistration(session, id, key);
      }),
    instances: async ({ signal } = {}) => {
      const { byKey } = await membersOf(log.space(), prefix, { signal });
      return new Map([...byKey].map(([key, entry]) => [idOf(key), entry]));
    },
    watch: async function* ({ signal } = {}) {
      const space = log.space();
      const { byKey, position } = await membersOf(space, prefix, { signal });
      for (const [key, value] of byKey) yield { id: idOf(key), value };
      // Answers of several pages may know of changes behind the first one already.
      const seen = new Map<string, SpaceEntry>(byKey);
      for await (const { key, entry } of space.watch({ prefix }, { from: position, signal })) {
        if (entry !== undefined && entry.version <= (seen.get(key)?.version ?? 0)) continue;
        if (entry === undefined) seen.delete(key);
        else seen.set(key, entry);
        yield { id: idOf(key), value: entry };
      }
    },
  };
}

const unescaped = (part: string): string => part.replaceAll("%2F", "/").replaceAll("%25", "%");

interface OwnValue {
  readonly id: string;
  readonly value: Bytes;
  readonly signal: AbortSignal;
  readonly isNew: boolean;
}

/** Puts the key where it is the session's own, or nobody's. */
async function putOwn(session: ObjectSession, key: string, { id, value, signal, isNew }: OwnValue): Promise<void> {
  const { succeeded } = await session.space().transaction(
    {
      compare: [isNew ? { keys: key, exists: false } : { keys: key, session: session.id }],
      success: [{ kind: "put", key, value, bound: true }],
    },
    { signal },
  );
  if (succeeded) return;
  if (isNew) throw new PaxlogError("LEASE_TAKEN", `another session has the instance "${id}"`, { facts: { name: id } });
  const message = `the instance "${id}" is not listed by session ${session.id} any more`;
  throw new PaxlogError("LEASE_LOST", message, { facts: { session: session.id } });
}

class OwnRegistration extends SessionHolding implements Registration {
  readonly id: string;
  readonly #key: string;

  constructor(session: ObjectSession, id: string, key: string) {
    super(session);
    this.id = id;
    this.#key = key;
  }

  update(value: Bytes, { signal = this.signal }: CallOptions = {}): Promise<void> {
    return putOwn(this.session, this.#key, { id: this.id, value, signal, isNew: false });
  }

  close(options?: CallOptions): Promise<void> {
    return this.session.close(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
