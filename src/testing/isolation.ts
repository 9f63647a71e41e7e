import { createHook } from "node:async_hooks";
import { PaxlogError } from "../base/errors.ts";

/** A function that is replaced while work is isolated, and what an error calls it. */
interface Door {
  readonly owner: object;
  readonly key: string;
  readonly what: string;
}

const doors: readonly Door[] = [
  { owner: Math, key: "random", what: "chance (Math.random): use at.random()" },
  { owner: Date, key: "now", what: "the clock (Date.now): use at.time" },
  { owner: performance, key: "now", what: "the clock (performance.now): use at.time" },
  { owner: process, key: "hrtime", what: "the clock (process.hrtime): use at.time" },
  { owner: process, key: "cwd", what: "the environment (process.cwd)" },
  { owner: process, key: "memoryUsage", what: "the environment (process.memoryUsage)" },
  { owner: crypto, key: "randomUUID", what: "chance (crypto.randomUUID): use at.random()" },
  { owner: crypto, key: "getRandomValues", what: "chance (crypto.getRandomValues): use at.random()" },
  { owner: globalThis, key: "setTimeout", what: "a timer (setTimeout)" },
  { owner: globalThis, key: "setInterval", what: "a timer (setInterval)" },
  { owner: globalThis, key: "setImmediate", what: "a timer (setImmediate)" },
  { owner: globalThis, key: "queueMicrotask", what: "a promise's turn (queueMicrotask)" },
  { owner: globalThis, key: "fetch", what: "the network (fetch)" },
];

/**
 * Runs synchronous work in which a look at the clock, chance, the environment or the network, a timer and a promise are errors, also
 * where the work catches them itself. Everything is put back before it returns.
 *
 * @throws PaxlogError NONDETERMINISTIC that names the first of them.
 */
export function isolated<Result>(work: () => Result): Result {
  const breach = new Breach();
  const restore = closeDoors(breach);
  let result: Result;
  try {
    result = work();
  } catch (cause) {
    breach.check();
    throw cause;
  } finally {
    restore();
  }
  breach.check();
  return result;
}

/** The first thing that was done and must not be. */
class Breach {
  #error: PaxlogError | undefined;

  note(what: string): PaxlogError {
    const message = `a machine looked at ${what}. It would not be the same on every replica: what a command needs must be in it`;
    this.#error ??= new PaxlogError("NONDETERMINISTIC", message, { facts: { what } });
    return this.#error;
  }

  check(): void {
    if (this.#error !== undefined) throw this.#error;
  }
}

function closeDoors(breach: Breach): () => void {
  const closed = doors.map(({ owner, key, what }) =>
    replaced(owner, key, () => {
      throw breach.note(what);
    }),
  );
  closed.push(replaced(globalThis, "Date", dateWithoutClock(breach)));
  closed.push(replaced(process, "env", environment(breach)));
  // What makes no sound elsewhere: an async function that nobody waits for, a file read with a callback.
  const hook = createHook({ init: (_id, type) => void breach.note(asyncName(type)) }).enable();
  return () => {
    hook.disable();
    for (const restore of closed) restore();
  };
}

const asyncName = (type: string): string =>
  type === "PROMISE" ? "a promise (async, await)" : `what comes later (${type})`;

function replaced(owner: object, key: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(owner, key);
  Object.defineProperty(owner, key, {
    value,
    configurable: true,
    enumerable: before?.enumerable ?? true,
    writable: true,
  });
  return () => {
    if (before === undefined) delete (owner as Record<string, unknown>)[key];
    else Object.defineProperty(owner, key, before);
  };
}

/** `new Date(time)` is a function of its argument; without one it is the clock. */
function dateWithoutClock(breach: Breach): unknown {
  return new Proxy(Date, {
    apply: () => {
      throw breach.note("the clock (Date()): use at.time");
    },
    construct: (target, args: unknown[]) => {
      if (args.length === 0) throw breach.note("the clock (new Date()): use new Date(at.time)");
      return Reflect.construct(target, args) as object;
    },
  });
}

function environment(breach: Breach): unknown {
  return new Proxy(process.env, {
    get: (_target, key) => {
      throw breach.note(`the environment (process.env.${String(key)})`);
    },
    has: (_target, key) => {
      throw breach.note(`the environment (process.env.${String(key)})`);
    },
    ownKeys: () => {
      throw breach.note("the environment (process.env)");
    },
  });
}
