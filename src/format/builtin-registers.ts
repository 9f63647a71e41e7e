/** The messages of the machine "registers" (proto/paxlog/v1/builtins.proto) as its own values. */
import { assertNever } from "../base/assert.ts";
import type {
  RegisterCommand,
  RegisterExpectation,
  RegisterQuestion,
  RegisterRefusal,
  RegisterReply,
  RegisterState,
} from "../machine/builtin/registers.ts";
import {
  enumOf,
  machineCodec,
  objectName,
  objectValue,
  readFields,
  wholeNumber,
  writtenFields,
} from "./builtin-codec.ts";
import { paxlog } from "./generated/wire.js";
import type { FieldWriter } from "./wire-bytes.ts";
import { malformed, present, safeNumber } from "./wire-value.ts";

const wire = paxlog.v1;
const { RegisterRefusal: number } = wire;

const refusals: Readonly<Record<number, RegisterRefusal | "NONE">> = {
  [number.REGISTER_REFUSAL_NONE]: "NONE",
  [number.REGISTER_REFUSAL_TOO_MANY_NAMES]: "TOO_MANY_NAMES",
  [number.REGISTER_REFUSAL_FULL]: "FULL",
};

const refusalNumbers: Readonly<Record<RegisterRefusal, paxlog.v1.RegisterRefusal>> = {
  TOO_MANY_NAMES: number.REGISTER_REFUSAL_TOO_MANY_NAMES,
  FULL: number.REGISTER_REFUSAL_FULL,
};

export const registerCommandCodec = machineCodec<RegisterCommand>(
  (command) =>
    command.kind === "compareAndSet" ? comparisonWritten(command) : wire.RegisterCommand.encode(bodyOf(command)),
  (bytes) => {
    const quick = comparisonIn(bytes);
    if (quick !== undefined) return quick;
    const body = wire.RegisterCommand.decode(bytes);
    const name = objectName(body.name);
    switch (body.operation) {
      case "set":
        return { kind: "set", name, value: objectValue(body.set?.value) };
      case "writeOnce":
        return { kind: "writeOnce", name, value: objectValue(body.writeOnce?.value) };
      case "delete":
        return { kind: "delete", name };
      case "compareAndSet":
        return comparisonOf(name, present(body.compareAndSet, "compare_and_set"));
      default:
        return malformed("a register's command has no operation that this version knows");
    }
  },
);

type Comparison = Extract<RegisterCommand, { kind: "compareAndSet" }>;

function bodyOf(command: Exclude<RegisterCommand, Comparison>): paxlog.v1.RegisterCommand.$Properties {
  const name = objectName(command.name);
  switch (command.kind) {
    case "set":
      return { name, set: { value: objectValue(command.value) } };
    case "writeOnce":
      return { name, writeOnce: { value: objectValue(command.value) } };
    case "delete":
      return { name, delete: {} };
    default:
      return assertNever(command);
  }
}

function comparisonWritten({ name: given, expected, next }: Comparison): FieldWriter {
  const name = objectName(given);
  const version = expected.kind === "version" ? wholeNumber(expected.version, "the expected version") : 0;
  const value = expected.kind === "value" ? objectValue(expected.value, "the expected value") : undefined;
  const set = next && objectValue(next);
  const fields = writtenFields();
  fields.text(1, name);
  const comparison = fields.begin(3);
  if (value === undefined) fields.choice(1, version);
  else fields.bytesChoice(2, value);
  if (set === undefined) fields.choice(4, 1);
  else fields.bytesChoice(3, set);
  fields.end(comparison);
  return fields;
}

/** undefined: it is none, or one for the generated code to read. */
function comparisonIn(bytes: Uint8Array): RegisterCommand | undefined {
  const fields = readFields(bytes);
  const name = fields.ascii(1);
  const outer = fields.enter(3);
  if (name === undefined || outer === undefined) return undefined;
  const version = fields.varint(1);
  const value = version === undefined ? fields.bytes(2) : undefined;
  const set = fields.bytes(3);
  const isDelete = set === undefined && fields.varint(4) === 1;
  if (!(fields.leave(outer) && fields.isDone)) return undefined;
  if ((version === undefined && value === undefined) || (set === undefined && !isDelete)) return undefined;
  const expected: RegisterExpectation =
    value === undefined
      ? { kind: "version", version: version! }
      : { kind: "value", value: objectValue(value, "the expected value") };
  return { kind: "compareAndSet", name: objectName(name), expected, next: set && objectValue(set) };
}

function comparisonOf(name: string, body: paxlog.v1.RegisterCompareAndSet.$Properties): RegisterCommand {
  if (body.expected === undefined) malformed("a comparison expects nothing that this version knows");
  if (body.next === undefined) malformed("a comparison has nothing to write that this version knows");
  if (body.next === "delete" && body.delete !== true) malformed("delete is not true");
  const expected: RegisterExpectation =
    body.expected === "version"
      ? { kind: "version", version: safeNumber(body.version, "the expected version") }
      : { kind: "value", value: objectValue(body.value, "the expected value") };
  return { kind: "compareAndSet", name, expected, next: body.next === "set" ? objectValue(body.set) : undefined };
}

export const registerReplyCodec = machineCodec<RegisterReply>(
  ({ done, version, before, refusal }) => {
    const fields = writtenFields();
    fields.varint(1, done ? 1 : 0);
    fields.varint(2, version);
    const state = fields.begin(3);
    fields.varint(1, before.version);
    fields.bytes(2, before.value);
    fields.end(state);
    fields.varint(4, refusal === undefined ? number.REGISTER_REFUSAL_NONE : refusalNumbers[refusal]);
    return fields;
  },
  (bytes) => {
    const quick = replyIn(bytes);
    if (quick !== undefined) return quick;
    const { done, version, before, refusal: given } = wire.RegisterReply.decode(bytes);
    const refusal = enumOf(given, refusals, "the refusal");
    return {
      done: done ?? false,
      version: safeNumber(version, "version"),
      before: stateOf(before ?? {}),
      refusal: refusal === "NONE" ? undefined : refusal,
    };
  },
);

/** undefined: it is for the generated code to read. */
function replyIn(bytes: Uint8Array): RegisterReply | undefined {
  const fields = readFields(bytes);
  const done = fields.varint(1) ?? 0;
  const version = fields.varint(2) ?? 0;
  const outer = fields.enter(3);
  if (outer === undefined || done > 1) return undefined;
  const before = { version: fields.varint(1) ?? 0, value: objectValue(fields.bytes(2)) };
  if (!(fields.leave(outer) && fields.isDone)) return undefined;
  return { done: done === 1, version, before, refusal: undefined };
}

export const registerQuestionCodec = machineCodec<RegisterQuestion>(
  ({ name }) => wire.RegisterQuestion.encode({ name: objectName(name) }),
  (bytes) => ({ name: objectName(wire.RegisterQuestion.decode(bytes).name) }),
);

export const registerAnswerCodec = machineCodec<RegisterState>(
  (state) => wire.RegisterState.encode(state),
  (bytes) => stateOf(wire.RegisterState.decode(bytes)),
);

const stateOf = ({ version, value }: paxlog.v1.RegisterState.$Properties): RegisterState => ({
  version: safeNumber(version, "version"),
  value: objectValue(value),
});
