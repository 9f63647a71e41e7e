/** What the space is told and asked, and what it says. Keys have 1 to 1,024 bytes and are in the order of their bytes. */

export type SpaceCommand = SpaceTransaction | SpaceCall;

/** Where every comparison holds `success` is carried out, otherwise `failure`: each in order, all of it or nothing. */
export interface SpaceTransaction {
  readonly kind: "transaction";
  readonly compare: readonly SpaceCompare[];
  readonly success: readonly SpaceOperation[];
  readonly failure: readonly SpaceOperation[];
}

/** Calls a procedure that the machine was given. */
export interface SpaceCall {
  readonly kind: "call";
  readonly procedure: string;
  /** JSON in UTF-8. */
  readonly args: Uint8Array;
}

/** The key alone, or with `end` all keys from it to below `end`. */
export interface SpaceKeys {
  readonly key: Uint8Array;
  /** One byte 0: without an end, since no key is below it. */
  readonly end: Uint8Array | undefined;
}

/** Holds where it holds for each key that there is; of a single key also where there is none. */
export interface SpaceCompare {
  readonly keys: SpaceKeys;
  readonly relation: SpaceRelation;
  readonly target: SpaceTarget;
}

export type SpaceRelation = "equal" | "notEqual" | "less" | "greater";

/** What is compared with. The numbers of a key that does not exist are 0; of its value only "notEqual" holds. */
export type SpaceTarget =
  | { readonly kind: "version" | "created" | "writes" | "session"; readonly number: number }
  | { readonly kind: "value"; readonly value: Uint8Array };

export type SpaceOperation = SpacePut | SpaceDelete | SpaceGet;

export interface SpacePut {
  readonly kind: "put";
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** The key goes when the session of the command ends. */
  readonly bound: boolean;
  /** The result has the value that was there before. */
  readonly withBefore: boolean;
}

export interface SpaceDelete {
  readonly kind: "delete";
  readonly keys: SpaceKeys;
}

export interface SpaceGet extends SpaceRange {
  readonly kind: "get";
}

export interface SpaceRange {
  readonly keys: SpaceKeys;
  /** At most so many; 0: as many as fit. */
  readonly limit: number;
  readonly keysOnly: boolean;
  readonly countOnly: boolean;
  /** From the last key to the first. */
  readonly reverse: boolean;
}

export type SpaceReply =
  | SpaceOutcome
  /** What the procedure returned, as JSON. */
  | { readonly kind: "returned"; readonly result: Uint8Array }
  | SpaceRefusal;

export interface SpaceOutcome {
  readonly kind: "transaction";
  /** Whether the comparisons held. */
  readonly succeeded: boolean;
  /** One for each operation that was carried out, in order. */
  readonly results: readonly SpaceResult[];
}

export type SpaceResult =
  /** The key before; version 0 where it did not exist. */
  | { readonly kind: "put"; readonly before: SpaceEntry }
  | { readonly kind: "delete"; readonly count: number }
  | ({ readonly kind: "get" } & SpaceEntries);

/** Nothing of the command was done. */
export interface SpaceRefusal {
  readonly kind: "refused";
  readonly code: SpaceRefusalCode;
  readonly message: string;
}

export type SpaceRefusalCode =
  | "PROCEDURE_UNKNOWN"
  | "PROCEDURE_FAILED"
  | "TRANSACTION_TOO_LARGE"
  | "SESSION_REQUIRED"
  | "SPACE_FULL";

export interface SpaceEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Position of the record that made it. */
  readonly created: number;
  /** Position of the record that wrote it last; 0: it does not exist. */
  readonly version: number;
  /** How often it was written since it was made. */
  readonly writes: number;
  /** The session it is bound to; 0: none. */
  readonly session: number;
}

export interface SpaceEntries {
  readonly entries: readonly SpaceEntry[];
  /** There are more in the range. */
  readonly more: boolean;
  /** Of the whole range. */
  readonly count: number;
}

export interface SpaceQuestion {
  readonly range: SpaceRange;
}

/** A key as it is now; version 0: it was deleted. */
export interface SpaceChange {
  readonly entry: SpaceEntry;
}
