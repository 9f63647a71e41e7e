/** Generated values of the built-in machines' messages. */
import fc from "fast-check";
import type { CounterCommand, CounterReply } from "../../src/machine/builtin/counters.ts";
import type { DecisionCommand, DecisionState } from "../../src/machine/builtin/decisions.ts";
import type { LeaseCommand, LeaseReply, LeaseState } from "../../src/machine/builtin/leases.ts";
import type { RegisterCommand, RegisterReply, RegisterState } from "../../src/machine/builtin/registers.ts";
import type {
  SpaceCommand,
  SpaceCompare,
  SpaceEntries,
  SpaceEntry,
  SpaceKeys,
  SpaceOperation,
  SpaceQuestion,
  SpaceRange,
  SpaceReply,
  SpaceResult,
  SpaceTarget,
} from "../../src/machine/builtin/space-values.ts";

export const name = fc.oneof(fc.constantFrom("a", "b"), fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }));
export const bytes = fc.uint8Array({ maxLength: 20 });
export const named = fc.record({ name });
const one = <Kind extends string>(...kinds: Kind[]): fc.Arbitrary<Kind> => fc.constantFrom(...kinds);

export const counterCommand: fc.Arbitrary<CounterCommand> = fc.oneof(
  fc.record({ kind: one("add"), name, delta: fc.maxSafeInteger() }),
  fc.record({ kind: one("take"), name, count: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) }),
);

export const counterReply: fc.Arbitrary<CounterReply> = fc.oneof(
  fc.record({ kind: one("done"), before: fc.maxSafeInteger(), after: fc.maxSafeInteger() }),
  fc.record({ kind: one("refused"), reason: one("OUT_OF_RANGE", "TOO_MANY_NAMES") }),
);

export const registerState: fc.Arbitrary<RegisterState> = fc.record({ version: fc.maxSafeNat(), value: bytes });

export const registerCommand: fc.Arbitrary<RegisterCommand> = fc.oneof(
  fc.record({ kind: one("set", "writeOnce"), name, value: bytes }),
  fc.record({ kind: one("delete"), name }),
  fc.record({
    kind: one("compareAndSet"),
    name,
    expected: fc.oneof(
      fc.record({ kind: one("version"), version: fc.maxSafeNat() }),
      fc.record({ kind: one("value"), value: bytes }),
    ),
    next: fc.option(bytes, { nil: undefined }),
  }),
);

export const registerReply: fc.Arbitrary<RegisterReply> = fc.record({
  done: fc.boolean(),
  version: fc.maxSafeNat(),
  before: registerState,
  refusal: fc.option(one("TOO_MANY_NAMES", "FULL"), { nil: undefined }),
});

const token = fc.oneof(fc.constant(0), fc.nat({ max: 50 }), fc.maxSafeNat());

export const leaseCommand: fc.Arbitrary<LeaseCommand> = fc.oneof(
  fc.record({ kind: one("acquire"), name, value: bytes, wait: fc.boolean() }),
  fc.record({ kind: one("release"), name, token }),
  fc.record({ kind: one("proclaim"), name, token, value: bytes }),
);

export const leaseState: fc.Arbitrary<LeaseState> = fc.record({
  name,
  token,
  session: fc.maxSafeNat(),
  value: bytes,
  waiting: fc.array(fc.maxSafeNat(), { maxLength: 5 }),
});

export const leaseReply: fc.Arbitrary<LeaseReply> = fc.record({
  outcome: one("held", "waiting", "taken", "released", "notHeld", "noSession", "tooMany"),
  now: leaseState,
});

const participants = fc.uniqueArray(name, { minLength: 1, maxLength: 4 });

export const decisionCommand: fc.Arbitrary<DecisionCommand> = fc.oneof(
  fc.record({ kind: one("begin"), name, participants, timeoutMs: fc.integer({ min: 1, max: 1000 }) }),
  fc.record({ kind: one("vote"), name, participant: name, yes: fc.boolean() }),
  fc.record({ kind: one("timeout", "forget"), name }),
);

export const decisionState: fc.Arbitrary<DecisionState> = fc.record({
  name,
  outcome: one("unknown", "pending", "committed", "aborted", "tooMany"),
  participants,
  voted: participants,
  deadline: fc.maxSafeNat(),
  decidedAt: fc.maxSafeNat(),
});

/** Few keys, so that commands meet. */
export const key = fc.uint8Array({ minLength: 1, maxLength: 2, max: 3 });
const keys: fc.Arbitrary<SpaceKeys> = fc.record({ key, end: fc.option(key, { nil: undefined }) });
const small = fc.nat({ max: 40 });

const target: fc.Arbitrary<SpaceTarget> = fc.oneof(
  fc.record({ kind: one("version", "created", "writes", "session"), number: small }),
  fc.record({ kind: one("value"), value: fc.uint8Array({ maxLength: 1, max: 2 }) }),
);

export const spaceCompare: fc.Arbitrary<SpaceCompare> = fc.record({
  keys,
  relation: one("equal", "notEqual", "less", "greater"),
  target,
});

const range: fc.Arbitrary<SpaceRange> = fc.record({
  keys,
  limit: fc.nat({ max: 4 }),
  keysOnly: fc.boolean(),
  countOnly: fc.boolean(),
  reverse: fc.boolean(),
});

export const spaceOperation: fc.Arbitrary<SpaceOperation> = fc.oneof(
  fc.record({
    kind: one("put"),
    key,
    value: fc.uint8Array({ maxLength: 1, max: 2 }),
    bound: fc.boolean(),
    withBefore: fc.boolean(),
  }),
  fc.record({ kind: one("delete"), keys }),
  range.map((each) => ({ kind: "get" as const, ...each })),
);

const operations = fc.array(spaceOperation, { maxLength: 4 });

export const spaceTransaction = fc.record({
  kind: one("transaction"),
  compare: fc.array(spaceCompare, { maxLength: 2 }),
  success: operations,
  failure: operations,
});

export const spaceCommand: fc.Arbitrary<SpaceCommand> = fc.oneof(
  { weight: 9, arbitrary: spaceTransaction },
  fc.record({ kind: one("call"), procedure: one("p", "q"), args: bytes }),
);

export const spaceQuestion: fc.Arbitrary<SpaceQuestion> = fc.record({ range });

export const spaceEntry: fc.Arbitrary<SpaceEntry> = fc.record({
  key,
  value: bytes,
  created: fc.maxSafeNat(),
  version: fc.maxSafeNat(),
  writes: fc.maxSafeNat(),
  session: fc.maxSafeNat(),
});

export const spaceEntries: fc.Arbitrary<SpaceEntries> = fc.record({
  entries: fc.array(spaceEntry, { maxLength: 3 }),
  more: fc.boolean(),
  count: fc.maxSafeNat(),
});

const spaceResult: fc.Arbitrary<SpaceResult> = fc.oneof(
  fc.record({ kind: one("put"), before: spaceEntry }),
  fc.record({ kind: one("delete"), count: fc.maxSafeNat() }),
  spaceEntries.map((entries) => ({ kind: "get" as const, ...entries })),
);

export const spaceReply: fc.Arbitrary<SpaceReply> = fc.oneof(
  fc.record({ kind: one("transaction"), succeeded: fc.boolean(), results: fc.array(spaceResult, { maxLength: 4 }) }),
  fc.record({ kind: one("returned"), result: bytes }),
  fc.record({
    kind: one("refused"),
    code: one("SPACE_FULL", "PROCEDURE_FAILED"),
    message: fc.string({ maxLength: 9 }),
  }),
);
