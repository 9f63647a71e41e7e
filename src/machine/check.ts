import { concat, equalBytes } from "../base/bytes.ts";
import { PaxlogError } from "../base/errors.ts";
import { jsonCodec } from "./json-codec.ts";
import type { Codec, Machine, RandomNumber } from "./machine.ts";
import { randomOf } from "./random.ts";
import { type Applied, type CommandRecord, type EndRecord, MachineReplica } from "./replica.ts";

export interface MachineCheck<Command, Question> {
  /** Makes a command; `random` gives the same numbers in each run with the same seed. */
  readonly command: (random: RandomNumber, index: number) => Command;
  /** Makes a question, asked now and then. */
  readonly question?: (random: RandomNumber) => Question;
  /** Commands of one run; 1,000 by default. */
  readonly commands?: number;
  /** Of the first run; 1 by default. */
  readonly seed?: number;
  /** Runs, each with a seed of its own; 10 by default. */
  readonly runs?: number;
}

/** Takes from `apply` whatever would differ between replicas, while `work` runs. */
export type Isolation = <Result>(work: () => Result) => Result;

/**
 * Applies generated commands to replicas that must not differ: two side by side; one that is saved and loaded again and again; and
 * one whose commands come out of their bytes twice. Replies, answers and saved states must be the same bytes.
 *
 * @throws PaxlogError MACHINE_DIFFERS with the seed and the command at which they part; MACHINE_FAILED where the machine throws.
 */
export function checkReplicas<State, Command, Reply, Question, Answer>(
  machine: Machine<State, Command, Reply, Question, Answer>,
  check: MachineCheck<Command, Question>,
  isolated: Isolation,
): void {
  const { commands = 1000, runs = 10, seed = 1 } = check;
  for (let run = 0; run < runs; run += 1) new Run(machine, check, isolated, seed + run).all(commands);
}

/** What replicas must agree on, as text. */
const textOf = (value: unknown): string => JSON.stringify(value, (_, each: unknown) => printable(each)) ?? "undefined";

function printable(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: [...value] };
  if (value instanceof Map) return { map: [...value] };
  if (value instanceof Set) return { set: [...value] };
  return typeof value === "bigint" ? `${value}n` : value;
}

/** How often the session of a command ends behind it, where the machine cares. */
const endsRate = 0.1;
/** Commands between two comparisons of whole states. */
const comparePeriod = 50;

class Run<State, Command, Reply, Question, Answer> {
  readonly #machine: Machine<State, Command, Reply, Question, Answer>;
  readonly #check: MachineCheck<Command, Question>;
  readonly #isolated: Isolation;
  readonly #seed: number;
  readonly #random: RandomNumber;
  readonly #codec: Codec<Command>;
  readonly #first: MachineReplica<State, Command, Reply, Question, Answer>;
  readonly #second: MachineReplica<State, Command, Reply, Question, Answer>;
  /** Saved and loaded again and again. */
  #restarted: MachineReplica<State, Command, Reply, Question, Answer>;

  constructor(
    machine: Machine<State, Command, Reply, Question, Answer>,
    check: MachineCheck<Command, Question>,
    isolated: Isolation,
    seed: number,
  ) {
    this.#machine = machine;
    this.#check = check;
    this.#isolated = isolated;
    this.#seed = seed;
    this.#random = randomOf(seed);
    this.#codec = machine.commands ?? (jsonCodec as Codec<Command>);
    this.#first = isolated(() => new MachineReplica(machine));
    this.#second = isolated(() => new MachineReplica(machine));
    this.#restarted = isolated(() => new MachineReplica(machine));
  }

  all(count: number): void {
    let position = 0;
    let time = 1_700_000_000_000;
    for (let index = 0; index < count; index += 1) {
      // Other records lie between those of a machine, and time stands still within a batch.
      position += 1 + Math.floor(3 * this.#random());
      time += Math.floor(4 * this.#random());
      const command = this.#check.command(this.#random, index);
      const session = Math.floor(4 * this.#random());
      this.#step({ position, time, session, value: this.#codec.encode(command) }, index);
      if (session > 0 && this.#machine.ended !== undefined && this.#random() < endsRate) {
        position += 1;
        this.#endSession({ position, time, session });
      }
      if (index % comparePeriod === comparePeriod - 1 || index === count - 1) this.#compareStates(index);
    }
  }

  #step(record: CommandRecord, index: number): void {
    const [first, second, restarted] = [this.#first, this.#second, this.#restarted].map((replica) =>
      this.#replyOf(replica, record),
    );
    if (first !== second) this.#differs(index, `replied ${first}, and to the same command once more ${second}`);
    if (first !== restarted) {
      this.#differs(index, `replied ${first}, and after its state was saved and loaded ${restarted}`);
    }
    const question = this.#check.question?.(this.#random);
    if (question === undefined) return;
    const [one, other] = [this.#first, this.#restarted].map((replica) =>
      textOf(this.#isolated(() => replica.ask(question))),
    );
    if (one !== other) this.#differs(index, `answers ${one}, and after its state was saved and loaded ${other}`);
    if (this.#machine.changes !== undefined) this.#compareChanges(question, record.position, index);
  }

  #compareChanges(question: Question, position: number, index: number): void {
    const from = Math.max(1, position - Math.floor(100 * this.#random()));
    const [one, other] = [this.#first, this.#restarted].map((replica) =>
      textOf(this.#isolated(() => replica.changes(question, from, 10))),
    );
    if (one !== other)
      this.#differs(index, `tells the changes ${one}, and after its state was saved and loaded ${other}`);
  }

  #endSession(record: EndRecord): void {
    for (const replica of [this.#first, this.#second, this.#restarted]) {
      const ended = this.#isolated(() => replica.end(record));
      if (ended.kind !== "reply") throw this.#seeded(ended.error);
    }
  }

  #replyOf(replica: MachineReplica<State, Command, Reply, Question, Answer>, record: CommandRecord): string {
    const applied: Applied<Reply> = this.#isolated(() => replica.apply(record));
    if (applied.kind === "reply") return textOf(applied.reply);
    throw this.#seeded(applied.error);
  }

  #seeded({ code, message, cause, facts }: PaxlogError): PaxlogError {
    return new PaxlogError(code, `${message} (seed ${this.#seed})`, { cause, facts: { ...facts, seed: this.#seed } });
  }

  #compareStates(index: number): void {
    const [first, second, restarted] = [this.#first, this.#second, this.#restarted].map((replica) =>
      this.#isolated(() => replica.snapshot()),
    );
    const bytes = concat(first!.pieces);
    if (!equalBytes(bytes, concat(second!.pieces))) this.#differs(index, "saves the same history in two ways");
    if (!equalBytes(bytes, concat(restarted!.pieces))) {
      this.#differs(index, "saves another state after one was saved and loaded");
    }
    this.#restarted = this.#isolated(() => new MachineReplica(this.#machine, restarted));
  }

  #differs(index: number, what: string): never {
    const { name } = this.#machine;
    throw new PaxlogError(
      "MACHINE_DIFFERS",
      `the machine ${name} ${what}: command ${index + 1} of seed ${this.#seed}`,
      {
        facts: { machine: name, seed: this.#seed, command: index + 1 },
      },
    );
  }
}
