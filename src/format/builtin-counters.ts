/** The messages of the machine "counters" (proto/paxlog/v1/builtins.proto) as its own values. */
import type { CounterCommand, CounterQuestion, CounterRefusal, CounterReply } from "../machine/builtin/counters.ts";
import { enumOf, machineCodec, objectName, readFields, wholeNumber, writtenFields } from "./builtin-codec.ts";
import { paxlog } from "./generated/wire.js";
import { malformed, safeNumber, safeSigned } from "./wire-value.ts";

const wire = paxlog.v1;
const { CounterRefusal: number } = wire;

const refusals: Readonly<Record<number, CounterRefusal | "NONE">> = {
  [number.COUNTER_REFUSAL_NONE]: "NONE",
  [number.COUNTER_REFUSAL_OUT_OF_RANGE]: "OUT_OF_RANGE",
  [number.COUNTER_REFUSAL_TOO_MANY_NAMES]: "TOO_MANY_NAMES",
};

const refusalNumbers: Readonly<Record<CounterRefusal, paxlog.v1.CounterRefusal>> = {
  OUT_OF_RANGE: number.COUNTER_REFUSAL_OUT_OF_RANGE,
  TOO_MANY_NAMES: number.COUNTER_REFUSAL_TOO_MANY_NAMES,
};

export const counterCommandCodec = machineCodec<CounterCommand>(
  (command) => {
    const name = objectName(command.name);
    if (command.kind === "take") return wire.CounterCommand.encode({ name, take: countOf(command.count) });
    const delta = safeSigned(command.delta, "the delta");
    const fields = writtenFields();
    fields.text(1, name);
    fields.signedChoice(2, delta);
    return fields;
  },
  (bytes) => {
    const quick = additionIn(bytes);
    if (quick !== undefined) return quick;
    const { name: given, operation, add, take } = wire.CounterCommand.decode(bytes);
    const name = objectName(given);
    if (operation === "add") return { kind: "add", name, delta: safeSigned(add, "the delta") };
    if (operation === "take") return { kind: "take", name, count: countOf(safeNumber(take, "the count")) };
    return malformed("a counter's command has no operation that this version knows");
  },
);

/** undefined: it is no addition, or one for the generated code to read. */
function additionIn(bytes: Uint8Array): CounterCommand | undefined {
  const fields = readFields(bytes);
  const name = fields.ascii(1);
  const delta = fields.signed(2);
  if (name === undefined || delta === undefined || !fields.isDone) return undefined;
  return { kind: "add", name: objectName(name), delta };
}

const countOf = (count: number): number =>
  wholeNumber(count, "the count") === 0 ? malformed("the count must be at least 1") : count;

export const counterReplyCodec = machineCodec<CounterReply>(
  (reply) => {
    if (reply.kind === "refused") return wire.CounterReply.encode({ refusal: refusalNumbers[reply.reason] });
    const fields = writtenFields();
    fields.signed(1, reply.before);
    fields.signed(2, reply.after);
    return fields;
  },
  (bytes) => {
    const fields = readFields(bytes);
    const quick = { kind: "done", before: fields.signed(1) ?? 0, after: fields.signed(2) ?? 0 } as const;
    if (fields.isDone) return quick;
    const { before, after, refusal } = wire.CounterReply.decode(bytes);
    const reason = enumOf(refusal, refusals, "the refusal");
    if (reason !== "NONE") return { kind: "refused", reason };
    return { kind: "done", before: safeSigned(before, "before"), after: safeSigned(after, "after") };
  },
);

export const counterQuestionCodec = machineCodec<CounterQuestion>(
  ({ name }) => wire.CounterQuestion.encode({ name: objectName(name) }),
  (bytes) => ({ name: objectName(wire.CounterQuestion.decode(bytes).name) }),
);

export const counterAnswerCodec = machineCodec<number>(
  (value) => wire.CounterAnswer.encode({ value: safeSigned(value, "the value") }),
  (bytes) => safeSigned(wire.CounterAnswer.decode(bytes).value, "the value"),
);
