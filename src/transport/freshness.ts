import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
import { type Freshness, type FreshnessKind, kindOfFreshness } from "../format/api-codec.ts";
import type { LogBackend } from "./backend.ts";

/**
 * Resolves when what is visible at the backend is as fresh as is asked, with what it is.
 * @throws PaxlogError UNAVAILABLE where that takes too long: another node may be nearer to it.
 */
export async function freshen(backend: LogBackend, freshness: Freshness, signal: AbortSignal): Promise<FreshnessKind> {
  if (freshness === "linearizable") await backend.linearize(signal);
  else if (typeof freshness === "object") await reachPosition(backend, freshness.atLeast, signal);
  return kindOfFreshness(freshness);
}

async function reachPosition(backend: LogBackend, position: number, signal: AbortSignal): Promise<void> {
  const deadlineMs = performance.now() + limits.linearizeMs;
  for (;;) {
    signal.throwIfAborted();
    const { tail } = backend.bounds();
    if (tail > position) return;
    if (performance.now() >= deadlineMs) {
      const message = `this node has the log below ${tail} only, not yet position ${position}; try again, or read from another node`;
      throw new PaxlogError("UNAVAILABLE", message, { facts: { tail } });
    }
    await tailMoved(backend, tail, deadlineMs - performance.now(), signal);
  }
}

/** Until there is something at the tail, or the time is over. */
function tailMoved(backend: LogBackend, tail: Position, timeMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      watch.cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, timeMs);
    const watch = backend.watch({ from: tail, query: undefined }, done);
    signal.addEventListener("abort", done, { once: true });
  });
}
