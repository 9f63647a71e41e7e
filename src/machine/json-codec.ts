import type { Codec } from "./machine.ts";

/**
 * Values as JSON in UTF-8: objects, arrays, strings, finite numbers, booleans and null. What JSON would drop or change without a word
 * (undefined in an array, NaN, bigint, functions, symbols, classes with state of their own such as Map) is refused.
 */
export const jsonCodec: Codec<unknown> = {
  encode: (value) => {
    check(value, "it", 0);
    return new TextEncoder().encode(JSON.stringify(value));
  },
  decode: (bytes) => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown,
};

const depthMax = 64;

function check(value: unknown, path: string, depth: number): void {
  if (depth > depthMax) throw new TypeError(`${path} lies deeper than ${depthMax} objects`);
  if (value === null || typeof value === "string" || typeof value === "boolean") return;
  if (typeof value === "number") {
    if (Number.isFinite(value)) return;
    throw new TypeError(`${path} is ${value}, which JSON does not have`);
  }
  if (Array.isArray(value)) {
    value.forEach((element, index) => {
      check(element, `${path}[${index}]`, depth + 1);
    });
    return;
  }
  const prototype: unknown = typeof value === "object" ? Object.getPrototypeOf(value) : undefined;
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`${path} is no JSON value: use objects, arrays, strings, numbers, booleans and null`);
  }
  for (const [key, element] of Object.entries(value as object)) {
    // A field that is not there and one that is undefined are the same to every reader.
    if (element !== undefined) check(element, `${path}.${key}`, depth + 1);
  }
}
