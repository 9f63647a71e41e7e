import { assert } from "../base/assert.ts";
import type { Position } from "../base/types.ts";
import { machineUnknown } from "../transport/execute-stream.ts";
import type {
  Admission,
  AppendedCommands,
  ChangesQuestion,
  CommandReply,
  MachineAnswer,
  MachineAnswers,
  MachineChanges,
  MachineQuestion,
  MachineQuestions,
  MachineStatus,
  ObjectBackend,
  SnapshotPiece,
  SnapshotWanted,
} from "../transport/object-backend.ts";

/** All machines of a node as one backend, where each thread has some of them. */
export class ObjectRouter implements ObjectBackend {
  readonly #parts: readonly ObjectBackend[];

  constructor(parts: readonly ObjectBackend[]) {
    this.#parts = parts;
  }

  has(machine: string): boolean {
    return this.#parts.some((part) => part.has(machine));
  }

  admission(machine: string): Admission {
    return this.#of(machine).admission(machine);
  }

  async replies(commands: AppendedCommands, signal?: AbortSignal): Promise<readonly CommandReply[]> {
    const { firstPosition, recordCount, machines, session } = commands;
    const parts = new Set(machines.map((machine) => this.#of(machine)));
    const [only] = parts;
    assert(only !== undefined, "commands are of some machine");
    if (parts.size === 1) return await only.replies(commands, signal);
    // Machines of several threads in one batch: rare enough to ask for each record.
    const all = machines.map(async (machine, index) => {
      const position = (firstPosition + index) as Position;
      const one = { firstPosition: position, recordCount: 1, machines: [machine], session };
      return await this.#of(machine).replies(one, signal);
    });
    const replies = (await Promise.all(all)).flat();
    assert(replies.length === recordCount, "each command has a reply");
    return replies;
  }

  async ask(question: MachineQuestion, signal?: AbortSignal): Promise<MachineAnswer> {
    return await this.#of(question.machine).ask(question, signal);
  }

  async askMany(questions: MachineQuestions, signal?: AbortSignal): Promise<MachineAnswers> {
    return await this.#of(questions.machine).askMany(questions, signal);
  }

  async changes(question: ChangesQuestion, signal?: AbortSignal): Promise<MachineChanges> {
    return await this.#of(question.machine).changes(question, signal);
  }

  async list(): Promise<readonly MachineStatus[]> {
    return (await Promise.all(this.#parts.map((part) => part.list()))).flat();
  }

  async snapshot(wanted: SnapshotWanted): Promise<SnapshotPiece> {
    return await this.#of(wanted.machine).snapshot(wanted);
  }

  #of(machine: string): ObjectBackend {
    const part = this.#parts.find((each) => each.has(machine));
    if (part === undefined) throw machineUnknown(machine);
    return part;
  }
}
