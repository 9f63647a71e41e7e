import { PaxlogError } from "../../base/errors.ts";

/** A machine has no room for one more name, or for its bytes. */
export function objectsFull(machine: string, name: string): PaxlogError {
  const message = `the ${machine} have no room for "${name}": nothing was done. Delete what is not needed`;
  return new PaxlogError("OBJECTS_FULL", message, { facts: { machine, name } });
}
