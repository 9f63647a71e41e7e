import { setPriority } from "node:os";
import type { ThreadStart } from "./messages.ts";

/**
 * Lets this thread run before others that wait for a processor, as far as the system allows it (as root, or with CAP_SYS_NICE);
 * elsewhere nothing changes. A sync that has returned should be told at once, and what holds up an append is mostly the wait for a
 * processor: with more threads than processors, storage waited 0.4 ms for one in each append, and waits 0.2 ms so.
 *
 * On Linux only, where a priority is that of a thread; elsewhere it would be that of the user's whole process.
 */
export function raisePriority(role: ThreadStart["role"]): void {
  if (process.platform !== "linux" || niceness[role] === 0) return;
  try {
    setPriority(0, niceness[role]);
  } catch {
    // Not permitted: then all are equal.
  }
}

/** From -20, which runs first, to 19. */
const niceness: Readonly<Record<ThreadStart["role"], number>> = { storage: -10, engine: -5, front: 0, objects: 0 };
