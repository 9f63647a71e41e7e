/** The machines that every node has, with what crosses the network: the logic of machine/builtin/ and the codecs of format/. */
import * as countersCodecs from "../format/builtin-counters.ts";
import * as decisionsCodecs from "../format/builtin-decisions.ts";
import * as leasesCodecs from "../format/builtin-leases.ts";
import * as registersCodecs from "../format/builtin-registers.ts";
import * as spaceCodecs from "../format/builtin-space.ts";
import { counterChanges, counters } from "../machine/builtin/counters.ts";
import { decisionChanges, decisions } from "../machine/builtin/decisions.ts";
import { leaseChanges, leases } from "../machine/builtin/leases.ts";
import { registerChanges, registers } from "../machine/builtin/registers.ts";
import { spaceChanges, spaceWith } from "../machine/builtin/space.ts";
import type { RecordedChange } from "../machine/change-log.ts";
import { type AnyMachine, type Codec, defineMachine, type MachineChange } from "../machine/machine.ts";
import type { Procedures } from "../machine/procedures.ts";

export const counterMachine = defineMachine({
  ...counters,
  changes: encoded(counterChanges, countersCodecs.counterAnswerCodec),
  commands: countersCodecs.counterCommandCodec,
  codecs: {
    replies: countersCodecs.counterReplyCodec,
    questions: countersCodecs.counterQuestionCodec,
    answers: countersCodecs.counterAnswerCodec,
  },
});

export const registerMachine = defineMachine({
  ...registers,
  changes: encoded(registerChanges, registersCodecs.registerAnswerCodec),
  commands: registersCodecs.registerCommandCodec,
  codecs: {
    replies: registersCodecs.registerReplyCodec,
    questions: registersCodecs.registerQuestionCodec,
    answers: registersCodecs.registerAnswerCodec,
  },
});

export const leaseMachine = defineMachine({
  ...leases,
  changes: encoded(leaseChanges, leasesCodecs.leaseStateCodec),
  commands: leasesCodecs.leaseCommandCodec,
  codecs: {
    replies: leasesCodecs.leaseReplyCodec,
    questions: leasesCodecs.leaseQuestionCodec,
    answers: leasesCodecs.leaseStateCodec,
  },
});

export const decisionMachine = defineMachine({
  ...decisions,
  changes: encoded(decisionChanges, decisionsCodecs.decisionStateCodec),
  commands: decisionsCodecs.decisionCommandCodec,
  codecs: {
    replies: decisionsCodecs.decisionStateCodec,
    questions: decisionsCodecs.decisionQuestionCodec,
    answers: decisionsCodecs.decisionStateCodec,
  },
});

/** The space; with procedures where the node was given some. */
export const spaceMachine = (procedures: Procedures | undefined) =>
  defineMachine({
    ...spaceWith(procedures),
    changes: encoded(spaceChanges, spaceCodecs.spaceChangeCodec),
    commands: spaceCodecs.spaceCommandCodec,
    codecs: {
      replies: spaceCodecs.spaceReplyCodec,
      questions: spaceCodecs.spaceQuestionCodec,
      answers: spaceCodecs.spaceAnswerCodec,
    },
  });

/** In the order in which they are listed. */
export const builtinMachinesWith = (procedures: Procedures | undefined): readonly AnyMachine[] => [
  registerMachine,
  counterMachine,
  spaceMachine(procedures),
  leaseMachine,
  decisionMachine,
];

export const builtinMachines: readonly AnyMachine[] = builtinMachinesWith(undefined);

type ChangesOf<State, Question, Change> = (
  state: Readonly<State>,
  question: Question,
  from: number,
  max: number,
) => readonly RecordedChange<Change>[] | undefined;

/** A machine tells its changes as bytes; it holds them as they are, since most of them nobody watches. */
function encoded<State, Question, Change>(changes: ChangesOf<State, Question, Change>, codec: Codec<Change>) {
  return (state: Readonly<State>, question: Question, from: number, max: number): MachineChange[] | undefined =>
    changes(state, question, from, max)?.map(({ change, ...at }) => ({ ...at, change: codec.encode(change) }));
}
