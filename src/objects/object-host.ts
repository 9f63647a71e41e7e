import { defined } from "../base/assert.ts";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
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
import type { MachineHost } from "./machine-host.ts";

/** The machines of one thread, as those see them who serve clients. */
export class ObjectHost implements ObjectBackend {
  readonly #hosts: ReadonlyMap<string, MachineHost>;

  constructor(hosts: readonly MachineHost[]) {
    this.#hosts = new Map(hosts.map((host) => [host.name, host]));
  }

  has(machine: string): boolean {
    return this.#hosts.has(machine);
  }

  admission(machine: string): Admission {
    return this.#hostOf(machine).admission;
  }

  async replies(commands: AppendedCommands, signal?: AbortSignal): Promise<readonly CommandReply[]> {
    const { firstPosition, recordCount, machines } = commands;
    const positions = Array.from({ length: recordCount }, (_, index) => firstPosition + index);
    if (machines.length === 1) return await this.#hostOf(machines[0]!).replies(positions, signal);
    const replies: CommandReply[] = new Array<CommandReply>(recordCount);
    await Promise.all(
      [...new Set(machines)].map(async (machine) => {
        const own = positions.filter((_, index) => machines[index] === machine);
        const told = await this.#hostOf(machine).replies(own, signal);
        own.forEach((position, each) => {
          replies[position - firstPosition] = told[each]!;
        });
      }),
    );
    return replies;
  }

  async ask({ machine, question, appliedTo }: MachineQuestion, signal?: AbortSignal): Promise<MachineAnswer> {
    return await this.#hostOf(machine).ask(question, appliedTo, signal);
  }

  async askMany({ machine, questions, appliedTo }: MachineQuestions, signal?: AbortSignal): Promise<MachineAnswers> {
    return await this.#hostOf(machine).askMany(questions, appliedTo, signal);
  }

  async changes({ machine, question, from }: ChangesQuestion, signal?: AbortSignal): Promise<MachineChanges> {
    return await this.#hostOf(machine).changes(question, from, signal);
  }

  async list(): Promise<readonly MachineStatus[]> {
    const hosts = [...this.#hosts.values()];
    await Promise.all(hosts.map((host) => host.look()));
    return hosts.map((host) => host.status);
  }

  async snapshot({ machine, position, offset, atLeast }: SnapshotWanted): Promise<SnapshotPiece> {
    const snapshots = await this.#hostOf(machine).snapshots(position === 0, atLeast);
    const found = position === 0 ? snapshots.list()[0] : position;
    if (found === undefined || !snapshots.list().includes(found)) throw notKept(machine, position);
    const { header } = snapshots.open(found);
    return { header, piece: snapshots.read(found, offset, limits.snapshotChunkBytes) };
  }

  /** Ends all of them. */
  stop(reason: PaxlogError): void {
    for (const host of this.#hosts.values()) host.stop(reason);
  }

  #hostOf(machine: string): MachineHost {
    return defined(this.#hosts.get(machine), `a machine ${machine} of this thread`);
  }
}

function notKept(machine: string, position: number): PaxlogError {
  const message = `this node keeps no snapshot of the machine ${machine}${position === 0 ? "" : ` at ${position}`}`;
  return new PaxlogError("POSITION_BELOW_HEAD", message, { facts: { machine } });
}
