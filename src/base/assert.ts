import { PaxlogError } from "./errors.ts";

/**
 * States what must hold. Assertions stay on in production: a node that finds itself in an impossible state stops by name
 * (INVARIANT_BROKEN) before it can write or send anything that follows from it. On hot paths the message is a function: text that
 * is put together for every entry costs more than all the comparisons.
 */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new PaxlogError("INVARIANT_BROKEN", typeof message === "string" ? message : message());
}

/** Closes a union: a compile error where a case is missing, a stop by name where the type was lied to. */
export function assertNever(value: never): never {
  throw new PaxlogError("INVARIANT_BROKEN", `a value outside its union: ${JSON.stringify(value)}`);
}

/** The value, which must be there. */
export function defined<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new PaxlogError("INVARIANT_BROKEN", `${what} is missing`);
  return value;
}

/** A number of a 64-bit field: a whole number from 0 to 2^53 - 1. */
export function assertSafe(value: number, what: string): number {
  const isSafe = Number.isSafeInteger(value) && value >= 0;
  assert(isSafe, () => `${what} must be a whole number below 2^53, is ${value}`);
  return value;
}
