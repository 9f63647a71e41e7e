import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";

/**
 * What a procedure does to the keys of the space. All of it happens at one place in the log, or nothing of it. Every call but the plain
 * facts counts as a step; the limits on steps, keys and bytes end the call with TRANSACTION_TOO_LARGE, also where that is caught.
 */
export interface ProcedureTransaction {
  /** Of the record that calls the procedure. */
  readonly position: number;
  /** The log's time for it, in milliseconds since 1970. */
  readonly time: number;
  /** The session in which it was appended; 0: none. */
  readonly session: number;
  /** Drawn from the position: each call has numbers of its own, alike on all nodes. */
  random(): number;
  /** The JSON value of a key; undefined where there is none. */
  get<Value = unknown>(key: string): Value | undefined;
  getBytes(key: string): Uint8Array | undefined;
  /** Writes a JSON value. What JSON would change without a word is refused. */
  put(key: string, value: unknown, options?: ProcedurePutOptions): void;
  putBytes(key: string, value: Uint8Array, options?: ProcedurePutOptions): void;
  /** Whether there was one. */
  delete(key: string): boolean;
  /** Keys in the order of their bytes, with their JSON values. */
  range<Value = unknown>(keys: ProcedureKeys, options?: ProcedureRangeOptions): readonly KeyedValue<Value>[];
  /** Ends the call: nothing of it happens, and the caller gets PROCEDURE_FAILED with this reason. The same as a thrown Error. */
  refuse(reason: string): never;
}

export interface ProcedurePutOptions {
  /** The key goes when the session ends in which the procedure was called. */
  readonly bound?: boolean | undefined;
}

export type ProcedureKeys =
  | { readonly prefix: string }
  /** From `from` to below `to`; without it all from `from` on. */
  | { readonly from: string; readonly to?: string | undefined };

export interface ProcedureRangeOptions {
  /** At most so many; all by default. */
  readonly limit?: number | undefined;
  /** From the last to the first. */
  readonly reverse?: boolean | undefined;
}

export interface KeyedValue<Value> {
  readonly key: string;
  readonly value: Value;
}

/**
 * Synchronous and deterministic, as all that machines do: no clock, chance, environment, timer, promise or I/O, and no memory between
 * calls but the keys. `args` is whatever a caller sent, as JSON.
 */
// biome-ignore lint/suspicious/noExplicitAny: each procedure says what it expects of its callers.
export type Procedure = (tx: ProcedureTransaction, args: any) => unknown;

export type ProcedureTable = Readonly<Record<string, Procedure>>;

/** Stored procedures by name. */
export interface Procedures<Table extends ProcedureTable = ProcedureTable> {
  readonly kind: "procedures";
  readonly table: Table;
}

const legalName = /^[A-Za-z0-9._-]+$/;

/**
 * Procedures over the key-value space, called by name: `log.call("transfer", args)` where the nodes were given them
 * (`paxlog serve --procedures`), or as a machine of the program (`procedureMachine`).
 *
 * @throws PaxlogError INVALID_ARGUMENT for a name that is none or a value that is no function.
 */
export function defineProcedures<Table extends ProcedureTable>(table: Table): Procedures<Table> {
  for (const [name, procedure] of Object.entries(table)) {
    if (!legalName.test(name) || name.length > limits.procedureNameBytesMax) {
      const text = `1 to ${limits.procedureNameBytesMax} characters of A-Z, a-z, 0-9, ".", "_" and "-"`;
      throw new PaxlogError("INVALID_ARGUMENT", `a procedure's name must have ${text}, not ${JSON.stringify(name)}`);
    }
    if (typeof procedure !== "function") {
      throw new PaxlogError("INVALID_ARGUMENT", `the procedure ${name} must be a function`);
    }
  }
  return { kind: "procedures", table: Object.freeze({ ...table }) };
}
