import { PaxlogError } from "../../base/errors.ts";
import { faultOfMachine, type Machine, type MachineChange } from "../../machine/machine.ts";
import type { CallOptions } from "../log.ts";
import type { MachineAskOptions, MachineCaller, MachineWatchOptions } from "../machines.ts";
import type { MachineCalls } from "./machine-calls.ts";
import { calledMachine, MachineStub } from "./machine-stub.ts";

/** A machine that the nodes run, for a caller that has no replica of it: of the machine it uses the name and the codecs only. */
export class NodeMachine<State, Command, Reply, Question, Answer>
  implements MachineCaller<Command, Reply, Question, Answer>
{
  readonly #stub: MachineStub<Command, Reply, Question, Answer>;
  readonly #name: string;
  #position = 0;
  #isClosed = false;

  constructor(calls: MachineCalls, machine: Machine<State, Command, Reply, Question, Answer>) {
    const fault = faultOfMachine(machine);
    if (fault !== undefined) throw new PaxlogError("INVALID_ARGUMENT", fault);
    this.#name = machine.name;
    this.#stub = new MachineStub(calls, calledMachine(machine));
  }

  get position(): number {
    return this.#position;
  }

  async execute(command: Command, options: CallOptions = {}): Promise<Reply> {
    this.#checkOpen();
    const { reply, position } = await this.#stub.execute(command, options);
    this.#position = Math.max(this.#position, position + 1);
    return reply;
  }

  async ask(question: Question, options: MachineAskOptions = {}): Promise<Answer> {
    this.#checkOpen();
    const { answer, position } = await this.#stub.ask(question, options);
    this.#position = Math.max(this.#position, position);
    return answer;
  }

  watch(question: Question, options: MachineWatchOptions = {}): AsyncIterable<MachineChange> {
    this.#checkOpen();
    return this.#stub.changes(question, options);
  }

  /** Nothing runs here that would have to end: calls under way come to theirs. */
  async close(): Promise<void> {
    this.#isClosed = true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new PaxlogError("CLOSED", `the machine ${this.#name} was closed`);
  }
}
