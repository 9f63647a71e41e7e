import { PaxlogError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import type { Position } from "../../../src/base/types.ts";
import { decodeBatch } from "../../../src/format/batch-decode.ts";
import { encodeBatch } from "../../../src/format/batch-encode.ts";
import { jsonCodec } from "../../../src/machine/json-codec.ts";
import { type AnyMachine, type Codec, sessionEndType } from "../../../src/machine/machine.ts";
import { MachineReplica } from "../../../src/machine/replica.ts";
import { builtinMachines } from "../../../src/objects/builtins.ts";
import { type ClientServer, startClientServer } from "../../../src/transport/client-server.ts";
import type {
  AppendedCommands,
  ChangesQuestion,
  CommandReply,
  MachineAnswer,
  MachineAnswers,
  MachineChanges,
  MachineQuestion,
  MachineQuestions,
  ObjectBackend,
} from "../../../src/transport/object-backend.ts";
import { hashing } from "../../storage/hashing.ts";
import { MemoryBackend } from "../../transport/memory-backend.ts";

/** A log in memory that has the ends of its sessions announced. */
class AnnouncingBackend extends MemoryBackend {
  readonly ended = new Map<number, number>();

  override async closeSession(session: number): Promise<void> {
    await super.closeSession(session);
    const batch = encodeBatch([{ type: sessionEndType, value: "" }]);
    this.ended.set(this.bounds().tail, session);
    this.put(batch, hashing.crc32c(batch), 1);
  }
}

/** Machines over a log in memory: every question looks at all of the log first. */
class MemoryObjects implements ObjectBackend {
  readonly #log: AnnouncingBackend;
  readonly #machines: ReadonlyMap<string, MachineReplica<unknown, unknown, unknown, unknown, unknown>>;
  readonly #replies = new Map<number, CommandReply>();
  #applied = 1;
  #batches = 0;

  constructor(log: AnnouncingBackend, machines: readonly AnyMachine[]) {
    this.#log = log;
    this.#machines = new Map(machines.map((machine) => [machine.name, new MachineReplica(machine)]));
  }

  has(machine: string): boolean {
    return this.#machines.has(machine);
  }

  admission(): "now" {
    return "now";
  }

  async replies({ firstPosition, recordCount }: AppendedCommands): Promise<readonly CommandReply[]> {
    this.#follow();
    return Array.from({ length: recordCount }, (_, index) => this.#replies.get(firstPosition + index)!);
  }

  async ask({ machine, question }: MachineQuestion): Promise<MachineAnswer> {
    this.#follow();
    const replica = this.#replica(machine);
    const { questions, answers } = replica.machine.codecs ?? {};
    const answer = replica.ask((questions ?? jsonCodec).decode(question));
    return { answer: codecOf(answers).encode(answer), position: this.#applied as Position };
  }

  async askMany({ machine, questions }: MachineQuestions): Promise<MachineAnswers> {
    const answers = await Promise.all(
      questions.map((question) => this.ask({ machine, question, appliedTo: 0 }).catch(() => undefined)),
    );
    return { answers: answers.map((each) => each?.answer), position: this.#applied as Position };
  }

  async changes({ machine, question, from }: ChangesQuestion, signal?: AbortSignal): Promise<MachineChanges> {
    const replica = this.#replica(machine);
    for (;;) {
      this.#follow();
      const asked = (replica.machine.codecs?.questions ?? jsonCodec).decode(question);
      const changes = replica.changes(asked, from || this.#applied, 100);
      if (changes === undefined) throw new PaxlogError("CHANGES_GONE", "too old");
      if (changes.length > 0) return { changes, next: (changes.at(-1)!.position + 1) as Position };
      await new Promise<void>((resolve) => {
        const done = () => {
          forget();
          resolve();
        };
        const forget = this.#log.onTail(done);
        signal?.addEventListener("abort", done, { once: true });
      });
      signal?.throwIfAborted();
    }
  }

  async list() {
    return [];
  }

  snapshot(): never {
    throw new PaxlogError("MACHINE_UNKNOWN", "there are no snapshots");
  }

  #replica(machine: string): MachineReplica<unknown, unknown, unknown, unknown, unknown> {
    const replica = this.#machines.get(machine);
    if (replica === undefined) throw new PaxlogError("MACHINE_UNKNOWN", `there is no ${machine}`);
    return replica;
  }

  #follow(): void {
    for (const stored of this.#log.batches.slice(this.#batches)) {
      this.#batches += 1;
      for (const [index, { type, value }] of [...decodeBatch(stored.batch)].entries()) {
        const position = stored.firstPosition + index;
        const at = { position, time: stored.time, session: this.#log.ended.get(position) ?? stored.session };
        this.#applied = position + 1;
        if (type === sessionEndType) for (const each of this.#machines.values()) each.end(at);
        else if (type !== undefined && this.has(type.slice(1))) this.#apply(type.slice(1), at, value);
      }
    }
  }

  #apply(name: string, at: { position: number; time: number; session: number }, value: Uint8Array): void {
    const replica = this.#replica(name);
    const applied = replica.apply({ ...at, value });
    const reply: CommandReply =
      applied.kind === "reply"
        ? { kind: "reply", reply: codecOf(replica.machine.codecs?.replies).encode(applied.reply) }
        : { kind: "failed", error: applied.error };
    this.#replies.set(at.position, reply);
  }
}

const codecOf = (codec: Codec<unknown> | undefined): Codec<unknown> => codec ?? jsonCodec;

/** A node without a disk or others, with the real services in front of it. */
export class MachineNode {
  readonly log = new AnnouncingBackend();
  readonly #machines: readonly AnyMachine[];
  #server: ClientServer | undefined;

  constructor(machines: readonly AnyMachine[] = []) {
    this.#machines = [...builtinMachines, ...machines];
    this.log.roomMax = limits.clientInFlightBatches;
  }

  get address(): string {
    return this.#server!.address;
  }

  async start(): Promise<this> {
    this.#server = await startClientServer({
      listen: "127.0.0.1:0",
      backend: this.log,
      objects: new MemoryObjects(this.log, this.#machines),
      hashing,
      log: () => {},
    });
    return this;
  }

  async stop(): Promise<void> {
    await this.#server?.close();
  }
}
