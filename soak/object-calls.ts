import { assertNever } from "#src/base/assert";
import type {
  LeaseInput,
  LeaseOutput,
  RegisterInput,
  RegisterOutput,
  RegisterSeen,
} from "#src/linearizability/object-models";
import type { LeaseCommand, LeaseReply } from "#src/machine/builtin/leases";
import type { RegisterCommand, RegisterReply, RegisterState } from "#src/machine/builtin/registers";

/** The command of a model's input; undefined of what is asked without one. */
export function registerCommandOf(input: RegisterInput): RegisterCommand | undefined {
  const { name } = input;
  switch (input.kind) {
    case "get":
      return undefined;
    case "set":
    case "writeOnce":
      return { kind: input.kind, name, value: Buffer.from(input.value) };
    case "compareAndSet": {
      const { expected, next } = input;
      const bytes = next === undefined ? undefined : Buffer.from(next);
      if ("version" in expected) {
        return { kind: input.kind, name, expected: { kind: "version", version: expected.version }, next: bytes };
      }
      return { kind: input.kind, name, expected: { kind: "value", value: Buffer.from(expected.value) }, next: bytes };
    }
    case "delete":
      return { kind: "delete", name };
    default:
      return assertNever(input);
  }
}

/** What a reply, or an answer, says in the words of the model. */
export function registerOutputOf(said: RegisterReply | RegisterState): RegisterOutput {
  if (!("before" in said)) return { before: seenOf(said), done: false, version: said.version };
  return { before: seenOf(said.before), done: said.done, version: said.version };
}

const seenOf = ({ version, value }: RegisterState): RegisterSeen => ({
  version,
  value: version === 0 ? undefined : Buffer.from(value).toString(),
});

/** The command of a model's input; undefined of a session's end, which is none. */
export function leaseCommandOf(input: LeaseInput): LeaseCommand | undefined {
  const { kind, name } = input;
  if (kind === "acquire") return { kind, name, value: new Uint8Array(0), wait: false };
  return kind === "release" ? { kind, name, token: input.token } : undefined;
}

export function leaseOutputOf({ outcome, now }: LeaseReply): LeaseOutput {
  if (outcome === "waiting" || outcome === "noSession" || outcome === "tooMany") {
    throw new Error(`a lease was answered ${outcome}, which nobody asked for`);
  }
  return { outcome, session: now.session, token: now.token };
}
