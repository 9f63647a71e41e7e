import { assert, assertNever } from "../../base/assert.ts";
import { PaxlogError } from "../../base/errors.ts";
import type * as machine from "../../machine/builtin/space-values.ts";
import { space } from "./builtins.ts";
import type {
  Bytes,
  ExecuteOptions,
  GetOptions,
  Keys,
  PutOptions,
  RangeOptions,
  RangeSelection,
  Space,
  SpaceChange,
  SpaceCompare,
  SpaceEntries,
  SpaceEntry,
  SpaceOperation,
  SpaceOutcome,
  SpaceRange,
  SpaceResult,
  SpaceTransaction,
  WatchOptions,
} from "./handles.ts";
import type { MachineCalls } from "./machine-calls.ts";
import { decoded, MachineStub } from "./machine-stub.ts";
import { spaceKeysOf } from "./space-keys.ts";
import { bytesOf, jsonBytes, Stored, textOf } from "./stored-bytes.ts";

type SpaceStub = MachineStub<machine.SpaceCommand, machine.SpaceReply, machine.SpaceQuestion, machine.SpaceEntries>;

/** The machine "space". */
export class NodeSpace implements Space {
  readonly #space: SpaceStub;

  constructor(calls: MachineCalls) {
    this.#space = new MachineStub(calls, space);
  }

  async get(key: Bytes, options?: GetOptions): Promise<SpaceEntry | undefined> {
    const { answer } = await this.#space.ask({ range: rangeOf(bytesOf(key), {}) }, options);
    return entriesOf(answer).entries[0];
  }

  async put(key: Bytes, value: Bytes, { bound, ...options }: PutOptions = {}): Promise<number> {
    const { position } = await this.transaction({ success: [{ kind: "put", key, value, bound }] }, options);
    return position;
  }

  async delete(keys: Keys, options?: ExecuteOptions): Promise<number> {
    const { results } = await this.transaction({ success: [{ kind: "delete", keys }] }, options);
    const [result] = results;
    assert(result?.kind === "delete", "a delete is answered with how many went");
    return result.count;
  }

  async range(keys: Keys, { freshness, signal, ...selection }: RangeOptions = {}): Promise<SpaceRange> {
    const { answer, position } = await this.#space.ask({ range: rangeOf(keys, selection) }, { freshness, signal });
    return { ...entriesOf(answer), position };
  }

  async transaction(given: SpaceTransaction, options?: ExecuteOptions): Promise<SpaceOutcome> {
    const command: machine.SpaceTransaction = {
      kind: "transaction",
      compare: (given.compare ?? []).map(compareOf),
      success: (given.success ?? []).map(operationOf),
      failure: (given.failure ?? []).map(operationOf),
    };
    const { reply, position } = await this.#space.execute(command, options);
    if (reply.kind === "refused") throw new PaxlogError(reply.code, reply.message);
    assert(reply.kind === "transaction", "a transaction is answered with its outcome");
    return { position, succeeded: reply.succeeded, results: reply.results.map(resultOf) };
  }

  async *watch(keys: Keys, options?: WatchOptions): AsyncGenerator<SpaceChange, void, void> {
    const question = { range: rangeOf(keys, {}) };
    for await (const { position, time, change } of this.#space.changes(question, options)) {
      const { entry } = decoded(space.changes, change, space.name);
      yield { position, time, key: textOf(entry.key), keyBytes: entry.key, entry: entryOf(entry) };
    }
  }
}

/** Calls a procedure. Nothing was done where it is refused. */
export async function callProcedure<Result>(
  calls: MachineCalls,
  procedure: string,
  args: unknown,
  options: ExecuteOptions | undefined,
): Promise<Result> {
  const stub: SpaceStub = new MachineStub(calls, space);
  const { reply } = await stub.execute({ kind: "call", procedure, args: jsonBytes(args ?? null) }, options);
  if (reply.kind === "refused") throw new PaxlogError(reply.code, reply.message, { facts: { procedure } });
  assert(reply.kind === "returned", "a call is answered with what the procedure returned");
  return new Stored(reply.result).json<Result>();
}

function rangeOf(keys: Keys, { limit = 0, keysOnly, countOnly, reverse }: RangeSelection): machine.SpaceRange {
  if (!Number.isSafeInteger(limit) || limit < 0) {
    throw new PaxlogError("INVALID_ARGUMENT", "limit must be a whole number from 1");
  }
  return {
    keys: spaceKeysOf(keys),
    limit,
    keysOnly: keysOnly === true,
    countOnly: countOnly === true,
    reverse: reverse === true,
  };
}

const targets = ["version", "created", "writes", "session"] as const;

function compareOf(given: SpaceCompare): machine.SpaceCompare {
  const { keys, relation = "equal", exists, value } = given;
  const wanted = [...targets, "exists" as const, "value" as const].filter((name) => given[name] !== undefined);
  const [kind] = wanted;
  if (wanted.length !== 1 || kind === undefined) {
    throw new PaxlogError(
      "INVALID_ARGUMENT",
      "a comparison has exactly one of exists, value, version, created, writes, session",
    );
  }
  const compared = spaceKeysOf(keys);
  switch (kind) {
    case "exists":
      return {
        keys: compared,
        relation: exists === true ? "notEqual" : "equal",
        target: { kind: "version", number: 0 },
      };
    case "value":
      return { keys: compared, relation, target: { kind, value: bytesOf(value as Bytes) } };
    default:
      return { keys: compared, relation, target: { kind, number: given[kind] as number } };
  }
}

function operationOf(operation: SpaceOperation): machine.SpaceOperation {
  switch (operation.kind) {
    case "put": {
      const { key, value, bound = false, withBefore = false } = operation;
      return { kind: "put", key: bytesOf(key), value: bytesOf(value), bound, withBefore };
    }
    case "delete":
      return { kind: "delete", keys: spaceKeysOf(operation.keys) };
    case "get":
      return { kind: "get", ...rangeOf(operation.keys, operation) };
    default:
      return assertNever(operation);
  }
}

function resultOf(result: machine.SpaceResult): SpaceResult {
  switch (result.kind) {
    case "put":
      return { kind: "put", before: entryOf(result.before) };
    case "delete":
      return result;
    case "get":
      return { kind: "get", ...entriesOf(result) };
    default:
      return assertNever(result);
  }
}

class Entry extends Stored implements SpaceEntry {
  readonly keyBytes: Uint8Array;
  readonly version: number;
  readonly created: number;
  readonly writes: number;
  readonly session: number | undefined;

  constructor({ key, value, version, created, writes, session }: machine.SpaceEntry) {
    super(value);
    this.keyBytes = key;
    this.version = version;
    this.created = created;
    this.writes = writes;
    this.session = session === 0 ? undefined : session;
  }

  get key(): string {
    return textOf(this.keyBytes);
  }
}

const entryOf = (entry: machine.SpaceEntry): SpaceEntry | undefined =>
  entry.version === 0 ? undefined : new Entry(entry);

const entriesOf = ({ entries, more, count }: machine.SpaceEntries): SpaceEntries => ({
  entries: entries.map((entry) => new Entry(entry)),
  more,
  count,
});
