/** The messages of the machine "decisions" (proto/paxlog/v1/builtins.proto) as its own values. */
import { assertNever, defined } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type {
  DecisionCommand,
  DecisionOutcome,
  DecisionQuestion,
  DecisionState,
} from "../machine/builtin/decisions.ts";
import { enumOf, machineCodec, objectName } from "./builtin-codec.ts";
import { paxlog } from "./generated/wire.js";
import { type Absent, malformed, present, safeNumber } from "./wire-value.ts";

const wire = paxlog.v1;
const { DecisionOutcome: number } = wire;

const outcomePairs: readonly (readonly [DecisionOutcome, paxlog.v1.DecisionOutcome])[] = [
  ["unknown", number.DECISION_OUTCOME_UNKNOWN],
  ["pending", number.DECISION_OUTCOME_PENDING],
  ["committed", number.DECISION_OUTCOME_COMMITTED],
  ["aborted", number.DECISION_OUTCOME_ABORTED],
  ["tooMany", number.DECISION_OUTCOME_TOO_MANY],
];

const outcomeNumbers = new Map(outcomePairs);
const outcomes = Object.fromEntries(outcomePairs.map(([name, each]) => [each, name]));

export const decisionCommandCodec = machineCodec<DecisionCommand>(
  (command) => wire.DecisionCommand.encode(bodyOf(command)),
  (bytes) => {
    const { name: given, operation, begin, vote } = wire.DecisionCommand.decode(bytes);
    const name = objectName(given);
    switch (operation) {
      case "begin": {
        const { participants, timeoutMs } = present(begin, "begin");
        const timeout = timeoutOf(safeNumber(timeoutMs, "the time-out"));
        return { kind: "begin", name, participants: participantsOf(participants), timeoutMs: timeout };
      }
      case "vote": {
        const participant = objectName(vote?.participant, "the participant");
        return { kind: "vote", name, participant, yes: vote?.yes ?? false };
      }
      case "timeout":
      case "forget":
        return { kind: operation, name };
      default:
        return malformed("a decision's command has no operation that this version knows");
    }
  },
);

function bodyOf(command: DecisionCommand): paxlog.v1.DecisionCommand.$Properties {
  const name = objectName(command.name);
  switch (command.kind) {
    case "begin": {
      const participants = participantsOf(command.participants);
      return { name, begin: { participants, timeoutMs: timeoutOf(command.timeoutMs) } };
    }
    case "vote":
      return { name, vote: { participant: objectName(command.participant, "the participant"), yes: command.yes } };
    case "timeout":
      return { name, timeout: {} };
    case "forget":
      return { name, forget: {} };
    default:
      return assertNever(command);
  }
}

function participantsOf(given: readonly string[] | Absent): string[] {
  const participants = (given ?? []).map((each) => objectName(each, "a participant"));
  const { decisionParticipantsMax: countMax, decisionParticipantsBytesMax: bytesMax } = limits;
  if (participants.length < 1 || participants.length > countMax) malformed(`participants must be 1 to ${countMax}`);
  if (new Set(participants).size < participants.length) malformed("a participant is named twice");
  const bytes = participants.reduce((sum, each) => sum + Buffer.byteLength(each), 0);
  if (bytes > bytesMax) malformed(`the names of the participants have ${bytes} bytes, more than ${bytesMax}`);
  return participants;
}

function timeoutOf(timeoutMs: number): number {
  const isLegal = Number.isSafeInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= limits.decisionTimeoutMsMax;
  return isLegal ? timeoutMs : malformed(`the time-out must be 1 to ${limits.decisionTimeoutMsMax} milliseconds`);
}

export const decisionQuestionCodec = machineCodec<DecisionQuestion>(
  ({ name }) => wire.DecisionQuestion.encode({ name: objectName(name) }),
  (bytes) => ({ name: objectName(wire.DecisionQuestion.decode(bytes).name) }),
);

/** Of replies, answers and changes. */
export const decisionStateCodec = machineCodec<DecisionState>(
  ({ outcome, participants, voted, ...rest }) =>
    wire.DecisionState.encode({
      ...rest,
      outcome: defined(outcomeNumbers.get(outcome), outcome),
      participants: [...participants],
      voted: [...voted],
    }),
  (bytes) => {
    const body = wire.DecisionState.decode(bytes);
    return {
      name: objectName(body.name),
      outcome: enumOf(body.outcome, outcomes, "the outcome"),
      participants: body.participants ?? [],
      voted: body.voted ?? [],
      deadline: safeNumber(body.deadline, "the deadline"),
      decidedAt: safeNumber(body.decidedAt, "decided_at"),
    };
  },
);
