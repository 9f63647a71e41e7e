import { PaxlogError } from "../../base/errors.ts";
import { jsonCodec } from "../../machine/json-codec.ts";
import type { AnyMachine, Codec, Machine, MachineChange } from "../../machine/machine.ts";
import type { ExecuteOptions, GetOptions, WatchOptions } from "./handles.ts";
import type { MachineCalls, Placement } from "./machine-calls.ts";

/** A machine as its callers know it: by name, and by how what is said to it crosses the network. */
export interface CalledMachine<Command, Reply, Question, Answer> {
  readonly name: string;
  readonly commands: Codec<Command>;
  readonly replies: Codec<Reply>;
  readonly questions: Codec<Question>;
  readonly answers: Codec<Answer>;
}

/** What callers need of a machine that runs on the nodes. */
export function calledMachine<Command, Reply, Question, Answer>(
  machine: Pick<Machine<unknown, Command, Reply, Question, Answer>, "name" | "commands" | "codecs">,
): CalledMachine<Command, Reply, Question, Answer> {
  const { replies, questions, answers } = machine.codecs ?? {};
  return {
    name: machine.name,
    commands: machine.commands ?? (jsonCodec as Codec<Command>),
    replies: replies ?? (jsonCodec as Codec<Reply>),
    questions: questions ?? (jsonCodec as Codec<Question>),
    answers: answers ?? (jsonCodec as Codec<Answer>),
  };
}

export interface Executed<Reply> extends Placement {
  readonly reply: Reply;
}

export interface Answered<Answer> {
  readonly answer: Answer;
  /** Every command below it is in the answer. */
  readonly position: number;
}

/** Speaks to one machine on the nodes in its own values. */
export class MachineStub<Command, Reply, Question, Answer> {
  readonly #calls: MachineCalls;
  readonly #machine: CalledMachine<Command, Reply, Question, Answer>;

  constructor(calls: MachineCalls, machine: CalledMachine<Command, Reply, Question, Answer>) {
    this.#calls = calls;
    this.#machine = machine;
  }

  async execute(command: Command, options: ExecuteOptions = {}): Promise<Executed<Reply>> {
    const { name, commands, replies } = this.#machine;
    const bytes = encoded(commands, command, "command");
    const { reply, position, time } = await this.#calls.execute(name, bytes, options);
    return { reply: decoded(replies, reply, name), position, time };
  }

  async ask(question: Question, options: GetOptions = {}): Promise<Answered<Answer>> {
    const { name, questions, answers } = this.#machine;
    const { answer, position } = await this.#calls.ask(name, encoded(questions, question, "question"), options);
    return { answer: decoded(answers, answer, name), position };
  }

  changes(question: Question, options: WatchOptions = {}): AsyncGenerator<MachineChange, void, void> {
    const { name, questions } = this.#machine;
    return this.#calls.changes(name, encoded(questions, question, "question"), options);
  }
}

function encoded<Value>(codec: Codec<Value>, value: Value, what: string): Uint8Array {
  try {
    return codec.encode(value);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PaxlogError("INVALID_ARGUMENT", `the ${what} cannot be sent: ${reason}`, { cause });
  }
}

/** What a node's machine says and this library cannot read is of another version. */
export function decoded<Value>(codec: Codec<Value>, bytes: Uint8Array, machine: AnyMachine["name"]): Value {
  try {
    return codec.decode(bytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `what the machine ${machine} said cannot be read: ${reason}. The command, if it was one, took effect`;
    throw new PaxlogError("UNAVAILABLE", message, { cause, outcome: "unknown", facts: { machine } });
  }
}
