/** The space, said plainly: a list of keys that is copied for each transaction. No limits. */
import type {
  SpaceCompare,
  SpaceEntries,
  SpaceEntry,
  SpaceKeys,
  SpaceOperation,
  SpaceOutcome,
  SpaceQuestion,
  SpaceRange,
  SpaceRefusal,
  SpaceResult,
  SpaceTransaction,
} from "../../../src/machine/builtin/space-values.ts";

/** Buffers and arrays of the same bytes are the same; of a refusal the text is left out. */
export function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).filter(([name]) => name !== "message");
  return Object.fromEntries(fields.map(([name, each]) => [name, comparable(each)]));
}

const compare = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b);
const nothing = new Uint8Array(0);

function isIn({ key, end }: SpaceKeys, other: Uint8Array): boolean {
  if (end === undefined) return compare(key, other) === 0;
  const isUnbounded = end.length === 1 && end[0] === 0;
  return compare(other, key) >= 0 && (isUnbounded || compare(other, end) < 0);
}

interface Told {
  readonly position: number;
  readonly entry: SpaceEntry;
}

export class PlainSpace {
  #entries: SpaceEntry[] = [];
  readonly #told: Told[] = [];

  apply(command: SpaceTransaction, position: number, session: number): SpaceOutcome | SpaceRefusal {
    const before = [...this.#entries];
    const succeeded = command.compare.every((each) => this.#holds(each));
    const operations = succeeded ? command.success : command.failure;
    if (session === 0 && operations.some((each) => each.kind === "put" && each.bound)) {
      return { kind: "refused", code: "SESSION_REQUIRED", message: "" };
    }
    const results = operations.map((each) => this.#carryOut(each, position, session));
    const written = operations.flatMap((each) => (each.kind === "put" ? [each.key] : []));
    const touched = this.#touched(before, written, operations);
    for (const key of touched) this.#tell(key, before, position);
    return { kind: "transaction", succeeded, results };
  }

  end(session: number, position: number): void {
    if (session === 0) return;
    const gone = this.#entries.filter((each) => each.session === session);
    this.#entries = this.#entries.filter((each) => each.session !== session);
    for (const { key } of gone) this.#told.push({ position, entry: absent(key) });
  }

  ask({ range }: SpaceQuestion): SpaceEntries {
    return this.#get(range);
  }

  changesOf({ range }: SpaceQuestion): Told[] {
    return this.#told
      .filter(({ entry }) => isIn(range.keys, entry.key))
      .map(({ position, entry }) => ({ position, entry: range.keysOnly ? { ...entry, value: nothing } : entry }));
  }

  bytes(): number {
    return this.#entries.reduce((sum, { key, value }) => sum + key.length + value.length + 128, 0);
  }

  #get({ keys, limit, keysOnly, countOnly, reverse }: SpaceRange): SpaceEntries {
    const found = this.#entries.filter(({ key }) => isIn(keys, key));
    if (countOnly) return { entries: [], more: false, count: found.length };
    if (reverse) found.reverse();
    const entries = (limit === 0 ? found : found.slice(0, limit)).map((entry) =>
      keysOnly ? { ...entry, value: nothing } : entry,
    );
    return { entries, more: entries.length < found.length, count: found.length };
  }

  #holds({ keys, relation, target }: SpaceCompare): boolean {
    const found: (SpaceEntry | undefined)[] = this.#entries.filter(({ key }) => isIn(keys, key));
    if (found.length === 0 && keys.end === undefined) found.push(undefined);
    return found.every((entry) => {
      if (target.kind === "value" && entry === undefined) return relation === "notEqual";
      const order =
        target.kind === "value" ? compare(entry!.value, target.value) : (entry?.[target.kind] ?? 0) - target.number;
      if (relation === "equal") return order === 0;
      if (relation === "notEqual") return order !== 0;
      return relation === "less" ? order < 0 : order > 0;
    });
  }

  #carryOut(operation: SpaceOperation, position: number, session: number): SpaceResult {
    if (operation.kind === "get") return { kind: "get", ...this.#get(operation) };
    if (operation.kind === "delete") {
      const left = this.#entries.filter(({ key }) => !isIn(operation.keys, key));
      const count = this.#entries.length - left.length;
      this.#entries = left;
      return { kind: "delete", count };
    }
    const { key, value, bound, withBefore } = operation;
    const before = this.#entries.find((each) => compare(each.key, key) === 0) ?? absent(key);
    const entry: SpaceEntry = {
      key,
      value,
      created: before.version === 0 ? position : before.created,
      version: position,
      writes: before.writes + 1,
      session: bound ? session : 0,
    };
    this.#entries = [...this.#entries.filter((each) => compare(each.key, key) !== 0), entry].sort((a, b) =>
      compare(a.key, b.key),
    );
    return { kind: "put", before: withBefore ? before : { ...before, value: nothing } };
  }

  /** Keys in the order in which the operations wrote or deleted them first. */
  #touched(before: readonly SpaceEntry[], written: readonly Uint8Array[], operations: readonly SpaceOperation[]) {
    const keys = new Map<string, Uint8Array>();
    let now = before.map(({ key }) => key);
    const note = (key: Uint8Array) => {
      const name = Buffer.from(key).toString("hex");
      if (!keys.has(name)) keys.set(name, key);
    };
    for (const operation of operations) {
      if (operation.kind === "put") {
        note(operation.key);
        now = [...now.filter((key) => compare(key, operation.key) !== 0), operation.key].sort(compare);
      } else if (operation.kind === "delete") {
        for (const key of now.filter((each) => isIn(operation.keys, each))) note(key);
        now = now.filter((each) => !isIn(operation.keys, each));
      }
    }
    for (const key of written) note(key);
    return [...keys.values()];
  }

  #tell(key: Uint8Array, before: readonly SpaceEntry[], position: number): void {
    const [old, now] = [before, this.#entries].map((list) => list.find((each) => compare(each.key, key) === 0));
    if (old !== now) this.#told.push({ position, entry: now ?? absent(key) });
  }
}

const absent = (key: Uint8Array): SpaceEntry => ({
  key,
  value: nothing,
  created: 0,
  version: 0,
  writes: 0,
  session: 0,
});
