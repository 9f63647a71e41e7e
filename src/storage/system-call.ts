import { DiskError } from "./disk.ts";

/** Runs a call to the system; what it throws becomes a DiskError with the errno as it is. */
export function systemCall<T>(syscall: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof DiskError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code;
    // What carries no errno is a mistake in this program (a bad argument), not an answer of the system.
    if (code === undefined || !isErrno(code)) throw cause;
    throw new DiskError(code, syscall, path, cause);
  }
}

/** "ENOSPC", but neither "ERR_INVALID_ARG_TYPE" nor the addon's "InvalidArg". */
const isErrno = (code: string): boolean => /^E[A-Z0-9]+$|^ERRNO_\d+$/.test(code);
