import { assertNever } from "../../base/assert.ts";
import { PaxlogError } from "../../base/errors.ts";
import { limits } from "../../base/limits.ts";
import { type ChangeForm, ChangeLog, type RecordedChange } from "../change-log.ts";
import { type ApplyContext, defineMachine, type FrozenState } from "../machine.ts";
import { StateReader } from "../state-bytes.ts";
import { freezeNamed, piecesOf } from "./frozen-state.ts";
import { OrderedMap } from "./ordered-map.ts";

/**
 * Atomic commit without a coordinator that others must wait for: the log decides (the acceptors of Paxos Commit are its nodes; Gray and
 * Lamport 2006). Committed when every participant voted yes; aborted at the first no, or when a time-out came first.
 */
export type DecisionCommand =
  /** Begins it; one that was begun already stays as it is. */
  | {
      readonly kind: "begin";
      readonly name: string;
      /** Each once. */
      readonly participants: readonly string[];
      /** From here, in log time. */
      readonly timeoutMs: number;
    }
  /** Of a participant, once: a yes is never taken back. */
  | { readonly kind: "vote"; readonly name: string; readonly participant: string; readonly yes: boolean }
  /** Aborts it where its deadline has passed at this place in the log. */
  | { readonly kind: "timeout"; readonly name: string }
  /** Has it forgotten, once it is decided. */
  | { readonly kind: "forget"; readonly name: string };

export type DecisionOutcome =
  /** There is no such decision: it was never begun, or is forgotten. */
  | "unknown"
  | "pending"
  | "committed"
  | "aborted"
  /** Of a begin: there are too many; nothing was begun. */
  | "tooMany";

export interface DecisionState {
  readonly name: string;
  readonly outcome: DecisionOutcome;
  readonly participants: readonly string[];
  /** Those that voted yes, in the order of their votes. */
  readonly voted: readonly string[];
  /** Log time, milliseconds since 1970. */
  readonly deadline: number;
  /** Position of the record that decided it; 0: none yet. */
  readonly decidedAt: number;
}

export interface DecisionQuestion {
  readonly name: string;
}

export interface Decisions {
  /** States are replaced, never changed: the log of changes has them too. */
  readonly byName: OrderedMap<DecisionState, string>;
  /** Names of decisions and participants, about. */
  bytes: number;
  changes: ChangeLog<DecisionState>;
}

export const decisions = defineMachine<Decisions, DecisionCommand, DecisionState, DecisionQuestion, DecisionState>({
  name: "decisions",
  version: 1,
  create: none,
  apply: (state, command, at) => {
    const before = state.byName.get(command.name);
    const after = before === undefined ? begun(state, command, at) : next(before, command, at);
    if (after === before || after === undefined) return before ?? unknown(command.name, "unknown");
    if (after.outcome === "tooMany") return after;
    write(state, command.name, after);
    state.changes.add(at.position, at.time, after);
    return after;
  },
  ask: ({ byName }, { name }) => byName.get(name) ?? unknown(name, "unknown"),
  save: (state) => piecesOf(freeze(state)),
  freeze,
  load: (pieces, version) => {
    if (version !== 1) throw new PaxlogError("FORMAT_UNKNOWN", `decisions of version ${version} cannot be read`);
    const reader = new StateReader(pieces);
    const state = none();
    for (let left = reader.number(); left > 0; left -= 1) {
      const decision = form.read(reader);
      write(state, decision.name, decision);
    }
    state.changes = ChangeLog.load(reader, changeBounds, form);
    reader.end();
    return state;
  },
});

function none(): Decisions {
  return { byName: new OrderedMap(), bytes: 0, changes: new ChangeLog(changeBounds, form) };
}

export function decisionChanges(
  { changes }: Readonly<Decisions>,
  { name }: DecisionQuestion,
  from: number,
  max: number,
): readonly RecordedChange<DecisionState>[] | undefined {
  return changes.since(from, max, (change) => change.name === name);
}

function freeze({ byName, changes }: Readonly<Decisions>): FrozenState {
  return freezeNamed(byName, changes, (writer, _, decision) => form.write(writer, decision));
}

function begun({ byName, bytes }: Decisions, command: DecisionCommand, { time }: ApplyContext) {
  if (command.kind !== "begin") return undefined;
  const { name, participants, timeoutMs } = command;
  const pending: DecisionState = {
    name,
    outcome: "pending",
    participants,
    voted: [],
    deadline: time + timeoutMs,
    decidedAt: 0,
  };
  const isFull = byName.size >= limits.decisionsMax || bytes + sizeOf(pending) > limits.decisionsBytesMax;
  return isFull ? unknown(name, "tooMany") : pending;
}

/** What follows; the same object where nothing does. */
function next(decision: DecisionState, command: DecisionCommand, { position, time }: ApplyContext): DecisionState {
  const isPending = decision.outcome === "pending";
  switch (command.kind) {
    case "begin":
      return decision;
    case "forget":
      return isPending ? decision : unknown(decision.name, "unknown");
    case "timeout":
      if (!isPending || time < decision.deadline) return decision;
      return { ...decision, outcome: "aborted", decidedAt: position };
    case "vote": {
      const { participant, yes } = command;
      const mayVote = decision.participants.includes(participant) && !decision.voted.includes(participant);
      if (!isPending || !mayVote) return decision;
      if (!yes) return { ...decision, outcome: "aborted", decidedAt: position };
      const voted = [...decision.voted, participant];
      if (voted.length < decision.participants.length) return { ...decision, voted };
      return { ...decision, voted, outcome: "committed", decidedAt: position };
    }
    default:
      return assertNever(command);
  }
}

function write(state: Decisions, name: string, decision: DecisionState): void {
  const before = state.byName.get(name);
  if (before !== undefined) state.bytes -= sizeOf(before);
  if (decision.outcome === "unknown") {
    state.byName.delete(name);
    return;
  }
  state.bytes += sizeOf(decision);
  state.byName.set(name, decision);
}

const unknown = (name: string, outcome: DecisionOutcome): DecisionState => ({
  name,
  outcome,
  participants: [],
  voted: [],
  deadline: 0,
  decidedAt: 0,
});

/** Votes are the participants' own strings. */
const sizeOf = ({ name, participants }: DecisionState): number =>
  participants.reduce((sum, each) => sum + each.length + 16, name.length + 64);

/** Stored by their places here: never reorder. */
const outcomes: readonly DecisionOutcome[] = ["unknown", "pending", "committed", "aborted"];

const form: ChangeForm<DecisionState> = {
  write: (writer, { name, outcome, participants, voted, deadline, decidedAt }) => {
    writer.text(name);
    writer.number(outcomes.indexOf(outcome));
    writer.number(participants.length);
    for (const each of participants) writer.text(each);
    writer.number(voted.length);
    for (const each of voted) writer.number(participants.indexOf(each));
    writer.number(deadline);
    writer.number(decidedAt);
  },
  read: (reader) => {
    const name = reader.text();
    const outcome = outcomes[reader.number()] ?? outOfRange();
    const participants: string[] = [];
    for (let left = reader.number(); left > 0; left -= 1) participants.push(reader.text());
    const voted: string[] = [];
    for (let left = reader.number(); left > 0; left -= 1) voted.push(participants[reader.number()] ?? outOfRange());
    return { name, outcome, participants, voted, deadline: reader.number(), decidedAt: reader.number() };
  },
};

function outOfRange(): never {
  throw new RangeError("a decision that this version does not know");
}

const changeBounds = { count: limits.changesMax, bytes: limits.changesBytesMax };
