import { limits } from "../../base/limits.ts";
import { type ByteString, emptyByteString } from "../byte-string.ts";
import type { ApplyContext } from "../machine.ts";
import type { KeySpace, Room, StoredValue } from "./key-space.ts";
import type { KeyInterval } from "./ordered-keys.ts";
import type { SpaceRefusal, SpaceRefusalCode } from "./space-values.ts";

/** Ends a command of which nothing is to be done. Nobody outside of the space sees it. */
export class Refused extends Error {
  readonly refusal: SpaceRefusal;

  constructor(code: SpaceRefusalCode, message: string) {
    super(message);
    this.refusal = { kind: "refused", code, message };
  }
}

/**
 * What one command does to the space, until it is done with: then watches are told what is different, or all is put back. Counts
 * what it touches, and refuses to go beyond the limits.
 */
export class SpaceWork {
  readonly #space: KeySpace;
  readonly #at: Pick<ApplyContext, "position" | "time" | "session">;
  /** Every key that was written, as it was before; in the order in which they were first written. */
  readonly #before = new Map<ByteString, StoredValue | undefined>();
  #keys = 0;
  #bytes = 0;
  /** A refusal stands, whoever catches it. */
  #refused: Refused | undefined;
  /** Of the reply. */
  readonly room: Room = { left: limits.objectValueBytesMax + limits.objectNameBytesMax + 64 };

  constructor(space: KeySpace, at: Pick<ApplyContext, "position" | "time" | "session">) {
    this.#space = space;
    this.#at = at;
  }

  get space(): KeySpace {
    return this.#space;
  }

  get(key: ByteString): StoredValue | undefined {
    const stored = this.#space.get(key);
    this.touch(key, stored?.value);
    return stored;
  }

  /** @returns what was there before. */
  put(key: ByteString, value: ByteString, bound: boolean): StoredValue | undefined {
    this.touch(key, value);
    const { position, session } = this.#at;
    if (bound && session === 0) {
      this.refuse("SESSION_REQUIRED", "a key can only be bound to a session that the command is appended in");
    }
    if (!this.#space.hasRoom(key, value)) {
      const { spaceKeysMax, spaceBytesMax } = limits;
      this.refuse("SPACE_FULL", `the space has ${spaceKeysMax} keys, or ${spaceBytesMax} bytes: delete some first`);
    }
    const before = this.#space.get(key);
    const [created, writes] = [before?.created ?? position, (before?.writes ?? 0) + 1];
    this.#set(key, { value, created, version: position, writes, session: bound ? session : 0 });
    return before;
  }

  /** @returns whether there was one. */
  delete(key: ByteString): boolean {
    this.touch(key, undefined);
    if (this.#space.get(key) === undefined) return false;
    this.#set(key, undefined);
    return true;
  }

  deleteAll(interval: KeyInterval): number {
    const count = this.#space.count(interval);
    if (this.#keys + count > limits.transactionKeysMax) this.#refuseKeys();
    for (const key of [...this.#space.keys(interval)]) this.delete(key);
    return count;
  }

  /** Counts a key that is looked at or written. */
  touch(key: ByteString, value: ByteString | undefined): void {
    if (this.#refused !== undefined) throw this.#refused;
    this.#keys += 1;
    this.#bytes += key.length + (value ?? emptyByteString).length;
    if (this.#keys > limits.transactionKeysMax) this.#refuseKeys();
    if (this.#bytes <= limits.transactionBytesMax) return;
    const message = `it touches more than ${limits.transactionBytesMax} bytes of keys and values`;
    this.refuse("TRANSACTION_TOO_LARGE", message);
  }

  refuse(code: SpaceRefusalCode, message: string): never {
    this.#refused ??= new Refused(code, message);
    throw this.#refused;
  }

  /** All of it happened. @throws Refused where something of it was refused, and that was caught. */
  finish(): void {
    if (this.#refused !== undefined) throw this.#refused;
    const { position, time } = this.#at;
    for (const [key, before] of this.#before) {
      const stored = this.#space.get(key);
      if (stored !== before) this.#space.changes.add(position, time, { key, stored });
    }
  }

  /** Nothing of it happened. */
  undo(): void {
    for (const [key, before] of this.#before) this.#space.set(key, before);
    this.#before.clear();
  }

  #set(key: ByteString, stored: StoredValue | undefined): void {
    if (!this.#before.has(key)) this.#before.set(key, this.#space.get(key));
    this.#space.set(key, stored);
  }

  #refuseKeys(): never {
    return this.refuse("TRANSACTION_TOO_LARGE", `it touches more than ${limits.transactionKeysMax} keys`);
  }
}

/** Where the work is refused, the space is as before. */
export function allOrNothing<Reply>(
  space: KeySpace,
  at: Pick<ApplyContext, "position" | "time" | "session">,
  work: (work: SpaceWork) => Reply,
): Reply | Refused["refusal"] {
  const own = new SpaceWork(space, at);
  try {
    const reply = work(own);
    own.finish();
    return reply;
  } catch (error) {
    own.undo();
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
}
