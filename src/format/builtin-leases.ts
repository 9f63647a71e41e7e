/** The messages of the machine "leases" (proto/paxlog/v1/builtins.proto) as its own values. */
import { assertNever } from "../base/assert.ts";
import type { LeaseCommand, LeaseOutcome, LeaseQuestion, LeaseReply, LeaseState } from "../machine/builtin/leases.ts";
import { enumOf, machineCodec, objectName, objectValue, wholeNumber } from "./builtin-codec.ts";
import { paxlog } from "./generated/wire.js";
import { malformed, present, safeNumber } from "./wire-value.ts";

const wire = paxlog.v1;
const { LeaseOutcome: number } = wire;

const outcomeNumbers: Readonly<Record<LeaseOutcome, paxlog.v1.LeaseOutcome>> = {
  held: number.LEASE_OUTCOME_HELD,
  waiting: number.LEASE_OUTCOME_WAITING,
  taken: number.LEASE_OUTCOME_TAKEN,
  released: number.LEASE_OUTCOME_RELEASED,
  notHeld: number.LEASE_OUTCOME_NOT_HELD,
  noSession: number.LEASE_OUTCOME_NO_SESSION,
  tooMany: number.LEASE_OUTCOME_TOO_MANY,
};

const outcomes = Object.fromEntries(Object.entries(outcomeNumbers).map(([name, each]) => [each, name as LeaseOutcome]));

export const leaseCommandCodec = machineCodec<LeaseCommand>(
  (command) => wire.LeaseCommand.encode(bodyOf(command)),
  (bytes) => {
    const { name: given, operation, acquire, release, proclaim } = wire.LeaseCommand.decode(bytes);
    const name = objectName(given);
    switch (operation) {
      case "acquire":
        return { kind: "acquire", name, value: objectValue(acquire?.value), wait: acquire?.wait ?? false };
      case "release":
        return { kind: "release", name, token: safeNumber(release?.token, "the token") };
      case "proclaim": {
        const { token, value } = present(proclaim, "proclaim");
        return { kind: "proclaim", name, token: safeNumber(token, "the token"), value: objectValue(value) };
      }
      default:
        return malformed("a lease's command has no operation that this version knows");
    }
  },
);

function bodyOf(command: LeaseCommand): paxlog.v1.LeaseCommand.$Properties {
  const name = objectName(command.name);
  switch (command.kind) {
    case "acquire":
      return { name, acquire: { value: objectValue(command.value), wait: command.wait } };
    case "release":
      return { name, release: { token: wholeNumber(command.token, "the token") } };
    case "proclaim":
      return {
        name,
        proclaim: { token: wholeNumber(command.token, "the token"), value: objectValue(command.value) },
      };
    default:
      return assertNever(command);
  }
}

export const leaseReplyCodec = machineCodec<LeaseReply>(
  ({ outcome, now }) => wire.LeaseReply.encode({ outcome: outcomeNumbers[outcome], now: stateBodyOf(now) }),
  (bytes) => {
    const { outcome, now } = wire.LeaseReply.decode(bytes);
    return { outcome: enumOf(outcome, outcomes, "the outcome"), now: stateOf(present(now, "now")) };
  },
);

export const leaseQuestionCodec = machineCodec<LeaseQuestion>(
  ({ name }) => wire.LeaseQuestion.encode({ name: objectName(name) }),
  (bytes) => ({ name: objectName(wire.LeaseQuestion.decode(bytes).name) }),
);

/** Of answers and of changes. */
export const leaseStateCodec = machineCodec<LeaseState>(
  (state) => wire.LeaseState.encode(stateBodyOf(state)),
  (bytes) => stateOf(wire.LeaseState.decode(bytes)),
);

/** The generated code takes a list that it may write to. */
const stateBodyOf = (state: LeaseState): paxlog.v1.LeaseState.$Properties => ({
  ...state,
  waiting: [...state.waiting],
});

function stateOf(body: paxlog.v1.LeaseState.$Properties): LeaseState {
  return {
    name: objectName(body.name),
    token: safeNumber(body.token, "the token"),
    session: safeNumber(body.session, "the session"),
    value: objectValue(body.value),
    waiting: (body.waiting ?? []).map((session) => safeNumber(session, "a session in line")),
  };
}
