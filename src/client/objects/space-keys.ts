import { PaxlogError } from "../../base/errors.ts";
import type { SpaceKeys } from "../../machine/builtin/space-values.ts";
import type { Keys } from "./handles.ts";
import { bytesOf } from "./stored-bytes.ts";

/** The smallest key, and as an end: no end. */
const zero = Uint8Array.of(0);

/** The keys that a caller means, as the machine has them. @throws PaxlogError INVALID_ARGUMENT */
export function spaceKeysOf(keys: Keys): SpaceKeys {
  if (typeof keys === "string" || keys instanceof Uint8Array) return { key: bytesOf(keys), end: undefined };
  if (typeof keys === "object" && keys !== null) {
    if ("prefix" in keys) {
      const prefix = bytesOf(keys.prefix);
      return { key: prefix.length === 0 ? zero : prefix, end: behind(prefix) };
    }
    if ("from" in keys) {
      const from = bytesOf(keys.from);
      const to = keys.to === undefined ? zero : bytesOf(keys.to);
      return { key: from.length === 0 ? zero : from, end: to };
    }
  }
  throw new PaxlogError("INVALID_ARGUMENT", "keys are a key, { prefix } or { from, to }");
}

/** The first key behind all that begin with a prefix. */
function behind(prefix: Uint8Array): Uint8Array {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length -= 1;
  if (length === 0) return zero;
  const end = Uint8Array.from(prefix.subarray(0, length));
  end[length - 1]! += 1;
  return end;
}
