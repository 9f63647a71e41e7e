const strict = new TextDecoder("utf-8", { fatal: true });

/** Whether the bytes from `begin` to `end` (exclusive) are valid UTF-8. */
export function isUtf8(bytes: Uint8Array, begin: number, end: number): boolean {
  for (let index = begin; index < end; index += 1) {
    if (bytes[index]! >= 0x80) return isStrictUtf8(bytes.subarray(index, end));
  }
  return true;
}

/** Most types and tags are ASCII, so this slower way is rarely taken. */
function isStrictUtf8(bytes: Uint8Array): boolean {
  try {
    // A decoder refuses shared memory in some runtimes, so it gets a copy: a type or a tag is short.
    strict.decode(new Uint8Array(bytes));
    return true;
  } catch {
    return false;
  }
}

/** Whether the string has no lone surrogate, so that UTF-8 can say it without a change. */
export function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}
