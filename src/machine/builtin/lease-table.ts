import { assert } from "../../base/assert.ts";
import { limits } from "../../base/limits.ts";
import type { ByteString } from "../byte-string.ts";
import { type ChangeForm, ChangeLog, type FrozenChanges } from "../change-log.ts";
import type { FrozenState } from "../machine.ts";
import { StateReader, StateWriter } from "../state-bytes.ts";
import { type FrozenEntries, OrderedMap } from "./ordered-map.ts";

/** A lease that a session holds; one that nobody holds is not kept. */
export interface HeldLease {
  readonly name: string;
  readonly token: number;
  readonly session: number;
  readonly value: ByteString;
  /** Sessions that wait for it, with the value that each will show; the next one first. */
  readonly line: ReadonlyMap<number, ByteString>;
}

/** A lease as it is told to others. */
export interface LeaseView {
  readonly name: string;
  readonly token: number;
  readonly session: number;
  readonly value: ByteString;
  readonly waiting: readonly number[];
}

interface Lease extends HeldLease {
  token: number;
  session: number;
  value: ByteString;
  readonly line: Map<number, ByteString>;
  /** That of the table when this was made: only what was frozen later has this lease, and must find it unchanged. */
  readonly freezes: number;
}

/** What a place takes in memory, about: deterministic, that is all that matters. */
export const placeBytes = (name: string, value: ByteString): number => name.length + value.length;

const changeForm: ChangeForm<LeaseView> = {
  write: (writer, { name, token, session, value, waiting }) => {
    writer.text(name);
    writer.number(token);
    writer.number(session);
    writer.byteString(value);
    writer.number(waiting.length);
    for (const each of waiting) writer.number(each);
  },
  read: (reader) => {
    const [name, token, session, value] = [reader.text(), reader.number(), reader.number(), reader.byteString()];
    const waiting: number[] = [];
    for (let left = reader.number(); left > 0; left -= 1) waiting.push(reader.number());
    return { name, token, session, value, waiting };
  },
};

const changeBounds = { count: limits.changesMax, bytes: limits.changesBytesMax };

/**
 * All leases with their lines, and by session. Whoever changes something tells the log of changes, once it is done. A lease is changed
 * in place, for its line may be long; the first change after a freeze is made to a copy, so that no frozen state sees any of them.
 */
export class LeaseTable {
  readonly #leases = new OrderedMap<Lease, string>();
  /** How many times it was frozen. */
  #freezes = 0;
  /** Of each session the leases that it holds or waits for. */
  readonly #bySession = new Map<number, Set<string>>();
  #changes = new ChangeLog(changeBounds, changeForm);
  #places = 0;
  #bytes = 0;

  get changes(): Pick<ChangeLog<LeaseView>, "since"> {
    return this.#changes;
  }

  /** Holders and those in line, of all leases. */
  get places(): number {
    return this.#places;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(name: string): HeldLease | undefined {
    return this.#leases.get(name);
  }

  /** What a session holds or waits for, in the order of the names. */
  namesOf(session: number): string[] {
    return [...(this.#bySession.get(session) ?? [])].sort();
  }

  /** To the first who asks for it. */
  grant(name: string, holder: Pick<HeldLease, "token" | "session" | "value">): HeldLease {
    assert(!this.#leases.has(name), () => `the lease ${name} is held already`);
    const lease: Lease = { name, ...holder, line: new Map(), freezes: this.#freezes };
    this.#leases.set(name, lease);
    this.#take(name, holder.session, holder.value);
    return lease;
  }

  /** The lease as it is then, as of the other changes. */
  wait(lease: HeldLease, session: number, value: ByteString): HeldLease {
    const own = this.#toChange(lease);
    own.line.set(session, value);
    this.#take(own.name, session, value);
    return own;
  }

  leaveLine(lease: HeldLease, session: number): HeldLease {
    const own = this.#toChange(lease);
    const value = own.line.get(session);
    assert(value !== undefined, () => `session ${session} is not in line for ${own.name}`);
    own.line.delete(session);
    this.#giveBack(own.name, session, value);
    return own;
  }

  /** From its holder to the first in line; forgotten where there is none: undefined. */
  passOn(lease: HeldLease, token: number): HeldLease | undefined {
    const held = this.#held(lease);
    this.#giveBack(held.name, held.session, held.value);
    const [next] = held.line;
    if (next === undefined) {
      this.#leases.delete(held.name);
      return undefined;
    }
    const own = this.#toChange(held);
    const [session, value] = next;
    own.line.delete(session);
    assert(token > own.token, () => `the token of ${own.name} would fall from ${own.token} to ${token}`);
    return Object.assign(own, { token, session, value });
  }

  setValue(lease: HeldLease, value: ByteString): HeldLease {
    const own = this.#toChange(lease);
    this.#bytes += value.length - own.value.length;
    own.value = value;
    return own;
  }

  note(lease: HeldLease, { position, time }: { readonly position: number; readonly time: number }): void {
    this.#changes.add(position, time, viewOfLease(lease));
  }

  /** As `Machine.freeze`. */
  freeze(): FrozenState {
    this.#freezes += 1;
    const entries = this.#leases.freeze();
    return { pieces: saved(entries, this.#changes.freeze()), release: () => entries.end() };
  }

  static load(pieces: Iterable<Uint8Array>): LeaseTable {
    const reader = new StateReader(pieces);
    const table = new LeaseTable();
    for (let left = reader.number(); left > 0; left -= 1) {
      const name = reader.text();
      const holder = { token: reader.number(), session: reader.number(), value: reader.byteString() };
      const lease = table.grant(name, holder);
      for (let line = reader.number(); line > 0; line -= 1) table.wait(lease, reader.number(), reader.byteString());
    }
    table.#changes = ChangeLog.load(reader, changeBounds, changeForm);
    reader.end();
    return table;
  }

  #held({ name }: HeldLease): Lease {
    const lease = this.#leases.get(name);
    assert(lease !== undefined, () => `nobody holds the lease ${name}`);
    return lease;
  }

  /** The lease, or in its place a copy where a frozen state has it. */
  #toChange(lease: HeldLease): Lease {
    const held = this.#held(lease);
    if (held.freezes === this.#freezes) return held;
    const copy: Lease = { ...held, line: new Map(held.line), freezes: this.#freezes };
    this.#leases.set(held.name, copy);
    return copy;
  }

  #take(name: string, session: number, value: ByteString): void {
    const names = this.#bySession.get(session) ?? new Set();
    this.#bySession.set(session, names.add(name));
    this.#places += 1;
    this.#bytes += placeBytes(name, value);
  }

  #giveBack(name: string, session: number, value: ByteString): void {
    const names = this.#bySession.get(session);
    names?.delete(name);
    if (names?.size === 0) this.#bySession.delete(session);
    this.#places -= 1;
    this.#bytes -= placeBytes(name, value);
  }
}

function* saved(entries: FrozenEntries<Lease, string>, changes: FrozenChanges): Iterable<Uint8Array> {
  const writer = new StateWriter();
  writer.number(entries.size);
  for (let some = entries.next(); some !== undefined; some = entries.next()) {
    for (const [, lease] of some) yield* savedLease(writer, lease);
  }
  yield* changes.save(writer);
  yield* writer.rest();
}

/** Hands on what is full within a lease too: one line may be as large as all others together. */
function* savedLease(writer: StateWriter, { name, token, session, value, line }: HeldLease): Iterable<Uint8Array> {
  writer.text(name);
  writer.number(token);
  writer.number(session);
  writer.byteString(value);
  writer.number(line.size);
  for (const [waiting, own] of line) {
    writer.number(waiting);
    writer.byteString(own);
    if (writer.hasFull) yield* writer.full();
  }
  if (writer.hasFull) yield* writer.full();
}

export function viewOfLease({ name, token, session, value, line }: HeldLease): LeaseView {
  const waiting: number[] = [];
  for (const each of line.keys()) {
    if (waiting.length === limits.leaseLineToldMax) break;
    waiting.push(each);
  }
  return { name, token, session, value, waiting };
}
