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
import { enumOf, machineCodec, objectName, objectValue, wholeNumber } from "./builtin-codec.ts";
import { paxlog } from "./generated/wire.js";
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
  (command) => wire.RegisterCommand.encode(bodyOf(command)),
  (bytes) => {
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

function bodyOf(command: RegisterCommand): paxlog.v1.RegisterCommand.$Properties {
  const name = objectName(command.name);
  switch (command.kind) {
    case "set":
      return { name, set: { value: objectValue(command.value) } };
    case "writeOnce":
      return { name, writeOnce: { value: objectValue(command.value) } };
    case "delete":
      return { name, delete: {} };
    case "compareAndSet": {
      const next = command.next === undefined ? { delete: true } : { set: objectValue(command.next) };
      return { name, compareAndSet: { ...expectationBodyOf(command.expected), ...next } };
    }
    default:
      return assertNever(command);
  }
}

function expectationBodyOf(expected: RegisterExpectation): { version: number } | { value: Uint8Array } {
  if (expected.kind === "version") return { version: wholeNumber(expected.version, "the expected version") };
  return { value: objectValue(expected.value, "the expected value") };
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
  ({ done, version, before, refusal }) =>
    wire.RegisterReply.encode({
      done,
      version,
      before,
      refusal: refusal === undefined ? number.REGISTER_REFUSAL_NONE : refusalNumbers[refusal],
    }),
  (bytes) => {
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
