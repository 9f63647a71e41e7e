/** What shared objects may answer: one counter, one register, one lease for each name, each checked by itself (locality). */
import { assertNever } from "../base/assert.ts";
import type { Model, Operation } from "./history.ts";

// ---- Counters

export type CounterInput =
  | { readonly kind: "get"; readonly name: string }
  /** Fetch and add. */
  | { readonly kind: "add"; readonly name: string; readonly delta: number };

/** The value before the operation. */
export type CounterOutput = number;

export const counterModel: Model<number, CounterInput, CounterOutput> = {
  initial: 0,
  step(value, input, output) {
    if (output !== undefined && output !== value) return undefined;
    return input.kind === "get" ? value : value + input.delta;
  },
  stateKey: (value) => `${value}`,
  partitionOf: ({ name }) => name,
  onlyLooks: ({ kind }) => kind === "get",
  inputKey: (input) => JSON.stringify(input),
  describeState: (value) => `value ${value}`,
  describe: (input, output) => `${JSON.stringify(input)} -> ${output ?? "?"}`,
};

// ---- Registers

export type RegisterExpectation = { readonly version: number } | { readonly value: string };

/** Every value is written once in a history: so it names the operation that wrote it. */
export type RegisterInput =
  | { readonly kind: "get"; readonly name: string }
  | { readonly kind: "set" | "writeOnce"; readonly name: string; readonly value: string }
  | {
      readonly kind: "compareAndSet";
      readonly name: string;
      readonly expected: RegisterExpectation;
      /** undefined: delete. */
      readonly next: string | undefined;
    }
  | { readonly kind: "delete"; readonly name: string };

export interface RegisterSeen {
  /** 0: there is none. */
  readonly version: number;
  readonly value: string | undefined;
}

export interface RegisterOutput {
  /** undefined: the client was not told; so with the version. */
  readonly before: RegisterSeen | undefined;
  /** Whether it wrote; false of a get. */
  readonly done: boolean;
  /** After it. */
  readonly version: number | undefined;
}

interface RegisterState extends RegisterSeen {
  /** The last version that is known: they only grow, also over a delete. */
  readonly last: number;
}

/** Of a value that nobody saw. */
const unseen = -1;

/** The model for a history: what anybody saw of a value says its version, also where its writer was not told. */
export function makeRegisterModel(
  history: readonly Operation<RegisterInput, RegisterOutput>[],
): Model<RegisterState, RegisterInput, RegisterOutput> {
  const versions = versionsIn(history);
  return {
    initial: { version: 0, value: undefined, last: 0 },
    step(state, input, output) {
      const isDone = input.kind !== "get" && holds(state, input);
      const next = isDone ? written(state, valueAfter(input), versions) : state;
      if (next === undefined) return undefined;
      return output === undefined || isRight(output, state, next, isDone) ? next : undefined;
    },
    stateKey: ({ version, value, last }) => JSON.stringify([version, value, last]),
    partitionOf: ({ name }) => name,
    onlyLooks: (_, { done }) => !done,
    inputKey: (input) => JSON.stringify(input),
    describeState: ({ version, value }) => `${value ?? "nothing"} at ${version}`,
    describe: (input, output) => `${JSON.stringify(input)} -> ${output === undefined ? "?" : JSON.stringify(output)}`,
  };
}

function isRight(output: RegisterOutput, before: RegisterState, after: RegisterState, isDone: boolean): boolean {
  if (output.done !== isDone) return false;
  const { before: seen, version } = output;
  if (seen !== undefined && (seen.value !== before.value || seen.version !== before.version)) return false;
  return version === undefined || version === after.version;
}

function holds({ value, version }: RegisterState, input: Exclude<RegisterInput, { kind: "get" }>): boolean {
  switch (input.kind) {
    case "set":
      return true;
    case "writeOnce":
      return value === undefined;
    case "delete":
      return value !== undefined;
    case "compareAndSet":
      return "version" in input.expected ? input.expected.version === version : input.expected.value === value;
    default:
      return assertNever(input);
  }
}

function valueAfter(input: Exclude<RegisterInput, { kind: "get" }>): string | undefined {
  if (input.kind === "delete") return undefined;
  return input.kind === "compareAndSet" ? input.next : input.value;
}

function written(
  { last }: RegisterState,
  value: string | undefined,
  versions: ReadonlyMap<string, number>,
): RegisterState | undefined {
  if (value === undefined) return { version: 0, value, last };
  const version = versions.get(value) ?? unseen;
  if (version === unseen) return { version, value, last };
  return version > last ? { version, value, last: version } : undefined;
}

/** Two versions of one value are none: no answer fits it then. */
function versionsIn(history: readonly Operation<RegisterInput, RegisterOutput>[]): Map<string, number> {
  const versions = new Map<string, number>();
  const note = (value: string | undefined, version: number | undefined): void => {
    if (value === undefined || version === undefined) return;
    versions.set(value, (versions.get(value) ?? version) === version ? version : Number.NaN);
  };
  for (const { input, result } of history) {
    if (result.kind !== "ok") continue;
    const { before, done, version } = result.output;
    note(before?.value, before?.version);
    if (done && input.kind !== "get") note(valueAfter(input), version);
  }
  return versions;
}

// ---- Leases

export type LeaseInput =
  /** Without standing in line. */
  | { readonly kind: "acquire"; readonly name: string; readonly session: number }
  | { readonly kind: "release"; readonly name: string; readonly session: number; readonly token: number }
  /** The session is over: it may be, at any time from its begin on, where nobody saw it. */
  | { readonly kind: "end"; readonly name: string; readonly session: number };

export interface LeaseOutput {
  readonly outcome: "held" | "taken" | "released" | "notHeld" | "ended";
  /** After it: who holds the lease, and its token; 0: nobody. undefined: the client was not told. */
  readonly session: number | undefined;
  readonly token: number;
}

interface LeaseState {
  /** 0: nobody. */
  readonly session: number;
  /** Of the grant; `unseen` where nobody was told of it. */
  readonly token: number;
  /** The largest token that is known. */
  readonly last: number;
}

export const leaseModel: Model<LeaseState, LeaseInput, LeaseOutput> = {
  initial: { session: 0, token: 0, last: 0 },
  step(state, input, output) {
    switch (input.kind) {
      case "acquire":
        return acquire(state, input.session, output);
      case "release":
      case "end": {
        const isHeld = state.session === input.session;
        const isMeant = input.kind === "end" || state.token === unseen || state.token === input.token;
        const isDone = isHeld && isMeant;
        const next = isDone ? { session: 0, token: 0, last: state.last } : state;
        if (output === undefined || output.outcome === "ended") return next;
        if (output.outcome !== (isDone ? "released" : "notHeld")) return undefined;
        return isSeen(next, output) ? next : undefined;
      }
      default:
        return assertNever(input);
    }
  },
  stateKey: ({ session, token, last }) => `${session},${token},${last}`,
  partitionOf: ({ name }) => name,
  onlyLooks: (_, { outcome }) => outcome === "taken" || outcome === "notHeld",
  inputKey: (input) => JSON.stringify(input),
  describeState: ({ session, token }) => (session === 0 ? "free" : `held by ${session} under ${token}`),
  describe: (input, output) => `${JSON.stringify(input)} -> ${output === undefined ? "?" : JSON.stringify(output)}`,
};

function acquire(state: LeaseState, session: number, output: LeaseOutput | undefined): LeaseState | undefined {
  if (state.session !== 0) {
    const outcome = state.session === session ? "held" : "taken";
    return output === undefined || (output.outcome === outcome && isSeen(state, output)) ? state : undefined;
  }
  if (output === undefined) return { session, token: unseen, last: state.last };
  const { outcome, token } = output;
  const isGranted = outcome === "held" && output.session === session && token > state.last;
  return isGranted ? { session, token, last: token } : undefined;
}

const isSeen = (state: LeaseState, output: LeaseOutput): boolean =>
  (output.session === undefined || output.session === state.session) &&
  (state.token === unseen || output.token === state.token);
