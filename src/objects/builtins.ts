/** The machines that every node has, with what crosses the network: the logic of machine/builtin/ and the codecs of format/. */
import {
  counterAnswerCodec,
  counterCommandCodec,
  counterQuestionCodec,
  counterReplyCodec,
} from "../format/builtin-counters.ts";
import {
  registerAnswerCodec,
  registerCommandCodec,
  registerQuestionCodec,
  registerReplyCodec,
} from "../format/builtin-registers.ts";
import { counters } from "../machine/builtin/counters.ts";
import { registers } from "../machine/builtin/registers.ts";
import { type AnyMachine, defineMachine } from "../machine/machine.ts";

export const counterMachine = defineMachine({
  ...counters,
  commands: counterCommandCodec,
  codecs: { replies: counterReplyCodec, questions: counterQuestionCodec, answers: counterAnswerCodec },
});

export const registerMachine = defineMachine({
  ...registers,
  commands: registerCommandCodec,
  codecs: { replies: registerReplyCodec, questions: registerQuestionCodec, answers: registerAnswerCodec },
});

/** In the order in which they are listed. */
export const builtinMachines: readonly AnyMachine[] = [registerMachine, counterMachine];
