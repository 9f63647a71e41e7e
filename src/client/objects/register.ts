import type {
  RegisterCommand,
  RegisterExpectation,
  RegisterReply,
  RegisterState,
} from "../../machine/builtin/registers.ts";
import { registers } from "./builtins.ts";
import type {
  Bytes,
  ExecuteOptions,
  GetOptions,
  Register,
  RegisterChange,
  RegisterOutcome,
  RegisterValue,
  WatchOptions,
} from "./handles.ts";
import type { MachineCalls } from "./machine-calls.ts";
import { decoded, MachineStub } from "./machine-stub.ts";
import { objectsFull } from "./refusals.ts";
import { bytesOf, Stored } from "./stored-bytes.ts";

/** One register of the machine "registers". */
export class NodeRegister implements Register {
  readonly name: string;
  readonly #registers: MachineStub<RegisterCommand, RegisterReply, { name: string }, RegisterState>;

  constructor(calls: MachineCalls, name: string) {
    this.name = name;
    this.#registers = new MachineStub(calls, registers);
  }

  async get(options?: GetOptions): Promise<RegisterValue | undefined> {
    const { answer } = await this.#registers.ask({ name: this.name }, options);
    return registerValueOf(answer);
  }

  async set(value: Bytes, options?: ExecuteOptions): Promise<RegisterValue> {
    const bytes = bytesOf(value);
    const { version } = await this.#execute({ kind: "set", name: this.name, value: bytes }, options);
    return new StoredRegister({ version, value: bytes });
  }

  async compareAndSet(
    expected: Bytes | { readonly version: number } | null,
    next: Bytes | null,
    options?: ExecuteOptions,
  ): Promise<RegisterOutcome> {
    const bytes = next === null ? undefined : bytesOf(next);
    const expectation = expectationOf(expected);
    const command: RegisterCommand = { kind: "compareAndSet", name: this.name, expected: expectation, next: bytes };
    return outcomeOf(await this.#execute(command, options), bytes);
  }

  async writeOnce(value: Bytes, options?: ExecuteOptions): Promise<RegisterOutcome> {
    const bytes = bytesOf(value);
    return outcomeOf(await this.#execute({ kind: "writeOnce", name: this.name, value: bytes }, options), bytes);
  }

  async delete(options?: ExecuteOptions): Promise<boolean> {
    const { done } = await this.#execute({ kind: "delete", name: this.name }, options);
    return done;
  }

  async *watch(options?: WatchOptions): AsyncGenerator<RegisterChange, void, void> {
    for await (const { position, time, change } of this.#registers.changes({ name: this.name }, options)) {
      yield { position, time, value: registerValueOf(decoded(registers.answers, change, registers.name)) };
    }
  }

  async #execute(command: RegisterCommand, options: ExecuteOptions | undefined): Promise<RegisterReply> {
    const { reply } = await this.#registers.execute(command, options);
    if (reply.refusal !== undefined) throw objectsFull("registers", this.name);
    return reply;
  }
}

class StoredRegister extends Stored implements RegisterValue {
  readonly version: number;

  constructor({ version, value }: RegisterState) {
    super(value);
    this.version = version;
  }
}

const registerValueOf = (state: RegisterState): RegisterValue | undefined =>
  state.version === 0 ? undefined : new StoredRegister(state);

function expectationOf(expected: Bytes | { readonly version: number } | null): RegisterExpectation {
  if (expected === null) return { kind: "version", version: 0 };
  if (typeof expected === "object" && "version" in expected) return { kind: "version", version: expected.version };
  return { kind: "value", value: bytesOf(expected) };
}

/** What was written is known here: the reply does not bring it back. */
function outcomeOf({ done, version, before }: RegisterReply, written: Uint8Array | undefined): RegisterOutcome {
  const found = registerValueOf(before);
  const now = done ? registerValueOf({ version, value: written ?? noBytes }) : found;
  return { done, now, before: found };
}

const noBytes = new Uint8Array(0);
