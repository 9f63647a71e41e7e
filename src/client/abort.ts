import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";

/**
 * Calls `callback` once when the signal is aborted, and soon where it already is, until the returned function is called. A thousand calls that share a signal
 * share one listener on it: Node warns of a leak where a signal has more than ten.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined) return nothing;
  if (signal.aborted) return soon(callback);
  let callbacks = listening.get(signal);
  if (callbacks === undefined) {
    const all = new Set<() => void>();
    const listener = () => {
      for (const each of [...all]) each();
    };
    signal.addEventListener("abort", listener, { once: true });
    listening.set(signal, all);
    callbacks = all;
  }
  const own = callbacks;
  own.add(callback);
  return () => own.delete(callback);
}

/** Never within the call: the caller does not have the returned function yet. */
function soon(callback: () => void): () => void {
  let wanted = true;
  queueMicrotask(() => {
    if (wanted) callback();
  });
  return () => {
    wanted = false;
  };
}

const listening = new WeakMap<AbortSignal, Set<() => void>>();
const nothing = (): void => {};

/** The error of a call that its caller gave up. */
export function cancelled(signal: AbortSignal | undefined, outcome: "none" | "unknown"): PaxlogError {
  const message =
    outcome === "none"
      ? "the call was aborted; nothing was written"
      : "the call was aborted after its records were sent: they may be in the log; read it to find out";
  return new PaxlogError("CANCELLED", message, { outcome, cause: signal?.reason });
}

/**
 * Resolves after the time, or as soon as the signal is aborted; never rejects. Where the process "may exit", nobody waits for the
 * end of it but the library itself.
 */
export function pause(milliseconds: number, signal?: AbortSignal, process?: "may exit"): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      forget();
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    if (process === "may exit") timer.unref();
    const forget = onAbort(signal, end);
  });
}

/** Grows from try to try, with a random part, so that clients that lost the same node do not come back all at once. */
export function retryDelay(attempt: number, first: number, max: number): number {
  const whole = Math.min(max, first * 2 ** Math.min(attempt, 16));
  return whole * (0.5 + Math.random() / 2);
}

/** The pause before the next attempt after failures in a row at so many nodes, milliseconds: none before each of them was tried once. */
export function roundDelay(failures: number, nodeCount: number): number {
  const round = Math.floor(failures / nodeCount);
  return round === 0 ? 0 : retryDelay(round - 1, limits.clientRetryMsFirst, limits.clientRetryMsMax);
}
