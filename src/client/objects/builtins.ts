/** The machines that every node has, as their callers know them. */
import {
  counterAnswerCodec,
  counterCommandCodec,
  counterQuestionCodec,
  counterReplyCodec,
} from "../../format/builtin-counters.ts";
import { decisionCommandCodec, decisionQuestionCodec, decisionStateCodec } from "../../format/builtin-decisions.ts";
import {
  leaseCommandCodec,
  leaseQuestionCodec,
  leaseReplyCodec,
  leaseStateCodec,
} from "../../format/builtin-leases.ts";
import {
  registerAnswerCodec,
  registerCommandCodec,
  registerQuestionCodec,
  registerReplyCodec,
} from "../../format/builtin-registers.ts";

import {
  spaceAnswerCodec,
  spaceChangeCodec,
  spaceCommandCodec,
  spaceQuestionCodec,
  spaceReplyCodec,
} from "../../format/builtin-space.ts";

/** Every node of the release has these, so that none refuses a command for one of them as unknown. */
export const builtinNames: ReadonlySet<string> = new Set(["registers", "counters", "space", "leases", "decisions"]);

/** Changes are as the answers are, but for those of the space. */
export const counters = {
  name: "counters",
  commands: counterCommandCodec,
  replies: counterReplyCodec,
  questions: counterQuestionCodec,
  answers: counterAnswerCodec,
};

export const registers = {
  name: "registers",
  commands: registerCommandCodec,
  replies: registerReplyCodec,
  questions: registerQuestionCodec,
  answers: registerAnswerCodec,
};

export const leases = {
  name: "leases",
  commands: leaseCommandCodec,
  replies: leaseReplyCodec,
  questions: leaseQuestionCodec,
  answers: leaseStateCodec,
};

export const decisions = {
  name: "decisions",
  commands: decisionCommandCodec,
  replies: decisionStateCodec,
  questions: decisionQuestionCodec,
  answers: decisionStateCodec,
};

export const space = {
  name: "space",
  commands: spaceCommandCodec,
  replies: spaceReplyCodec,
  questions: spaceQuestionCodec,
  answers: spaceAnswerCodec,
  changes: spaceChangeCodec,
};
