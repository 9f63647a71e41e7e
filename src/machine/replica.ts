import { assert } from "../base/assert.ts";
import { PaxlogError } from "../base/errors.ts";
import { jsonCodec } from "./json-codec.ts";
import type { ApplyContext, Codec, FrozenState, Machine, MachineChange } from "./machine.ts";
import { randomOf } from "./random.ts";

/** A record of the machine's type, as it stands in the log. */
export interface CommandRecord {
  readonly position: number;
  readonly time: number;
  /** In which it was appended; 0: none. */
  readonly session: number;
  readonly value: Uint8Array;
}

/** A record of type "$session": its session ended there. */
export type EndRecord = Omit<CommandRecord, "value">;

/** What became of a command. The same on every replica. */
export type Applied<Reply> =
  | { readonly kind: "reply"; readonly reply: Reply }
  /** The bytes are no command of this machine: nothing was done. */
  | { readonly kind: "malformed"; readonly error: PaxlogError }
  /** The machine threw. Its state is that of `resumeFrom`: commands from there on are to be applied again, this one will be passed over. */
  | { readonly kind: "failed"; readonly error: PaxlogError; readonly resumeFrom: number };

/** A state at a position, as bytes: it holds what every command below `position` did. */
export interface MachineSnapshot {
  readonly name: string;
  readonly version: number;
  readonly position: number;
  readonly pieces: readonly Uint8Array[];
}

/** Where a state can be had from again, any number of times. */
export interface StateSource extends Omit<MachineSnapshot, "pieces"> {
  readonly pieces: Iterable<Uint8Array>;
}

/**
 * One copy of a machine's state, brought forward command by command. Knows nothing of logs and hosts: it is given the records of its
 * type in their order.
 */
export class MachineReplica<State, Command, Reply, Question, Answer> {
  readonly machine: Machine<State, Command, Reply, Question, Answer>;
  readonly #commands: Codec<Command>;
  readonly #onBack: () => void;
  #state: State;
  /** Commands below it are in the state. */
  #position: number;
  /** Where a replica begins anew when a command threw. */
  #base: StateSource | undefined;
  /** Commands behind the base that throw: one, between its throw and its being passed over. */
  readonly #failures = new Map<number, PaxlogError>();

  /** `onBack` is called before the replica goes back to its base, or takes a new one of its own: so a base under way comes first. */
  constructor(
    machine: Machine<State, Command, Reply, Question, Answer>,
    snapshot?: StateSource,
    onBack: () => void = () => {},
  ) {
    this.machine = machine;
    this.#onBack = onBack;
    this.#commands = machine.commands ?? (jsonCodec as Codec<Command>);
    this.#base = snapshot;
    this.#state = this.#restored();
    this.#position = snapshot?.position ?? 0;
  }

  /** Everything below is applied. */
  get position(): number {
    return this.#position;
  }

  encode(command: Command): Uint8Array {
    return this.#commands.encode(command);
  }

  apply(record: CommandRecord): Applied<Reply> {
    const { position, value } = record;
    assert(position >= this.#position, () => `the command at ${position} comes after ${this.#position}`);
    let command: Command;
    try {
      command = this.#commands.decode(value);
    } catch (cause) {
      const { name } = this.machine;
      const facts = { machine: name, position };
      this.#position = position + 1;
      const message = `the record at ${position} is no command of the machine ${name}: ${reasonOf(cause)}`;
      return { kind: "malformed", error: new PaxlogError("COMMAND_MALFORMED", message, { cause, facts }) };
    }
    return this.#change(record, this.#apply, command);
  }

  readonly #apply = (at: ApplyContext, command: Command): Reply => this.machine.apply(this.#state, command, at);

  readonly #end = (at: ApplyContext): undefined => {
    this.machine.ended?.(this.#state, at);
  };

  /**
   * The record's session ended: what the machine has bound to it goes. `reply` says nothing. A record without a session is none of the
   * log's, and is passed over.
   */
  end(record: EndRecord): Applied<undefined> {
    const { position, session } = record;
    assert(position >= this.#position, () => `the end at ${position} comes after ${this.#position}`);
    if (session !== 0 && this.machine.ended !== undefined) return this.#change(record, this.#end, undefined);
    this.#position = position + 1;
    return { kind: "reply", reply: undefined };
  }

  /** A record that the machine cannot be given: nothing is done. */
  pass(position: number): void {
    assert(position >= this.#position, () => `the record at ${position} comes after ${this.#position}`);
    this.#position = position + 1;
  }

  /** What a record does to the state: all of it or nothing. */
  #change<Given, Result>(
    record: EndRecord,
    change: (at: ApplyContext, given: Given) => Result,
    given: Given,
  ): Applied<Result> {
    const { position } = record;
    const failure = this.#failures.size === 0 ? undefined : this.#failures.get(position);
    if (failure !== undefined) {
      this.#onBack();
      this.#position = position + 1;
      // The next one that throws must not lead back behind this one again.
      this.snapshot();
      return { kind: "failed", error: failure, resumeFrom: this.#position };
    }
    try {
      const reply = change(contextOf(record), given);
      if (isThenable(reply)) throw new TypeError("apply returned a promise: what it does must be done when it returns");
      this.#position = position + 1;
      return { kind: "reply", reply };
    } catch (cause) {
      this.#onBack();
      const error = this.#failure(position, cause);
      this.#failures.set(position, error);
      this.#state = this.#restored();
      this.#position = this.#base?.position ?? 0;
      return { kind: "failed", error, resumeFrom: this.#position };
    }
  }

  /** @throws PaxlogError MACHINE_FAILED where the machine answers no questions, or threw. */
  ask(question: Question): Answer {
    const { machine } = this;
    const facts = { machine: machine.name };
    if (machine.ask === undefined) {
      throw new PaxlogError("MACHINE_FAILED", `the machine ${machine.name} answers no questions`, { facts });
    }
    try {
      return machine.ask(this.#state, question);
    } catch (cause) {
      const message = `the machine ${machine.name} threw at a question: ${reasonOf(cause)}`;
      throw new PaxlogError("MACHINE_FAILED", message, { cause, facts });
    }
  }

  /**
   * What happened from a position on to what the question is about: as `Machine.changes`; undefined where the machine does not remember
   * so far back. @throws PaxlogError MACHINE_FAILED where the machine tells no changes, or threw.
   */
  changes(question: Question, from: number, max: number): readonly MachineChange[] | undefined {
    const { machine } = this;
    const facts = { machine: machine.name };
    if (machine.changes === undefined) {
      throw new PaxlogError("MACHINE_FAILED", `the machine ${machine.name} tells no changes`, { facts });
    }
    try {
      return machine.changes(this.#state, question, from, max);
    } catch (cause) {
      const message = `the machine ${machine.name} threw when it was asked for changes: ${reasonOf(cause)}`;
      throw new PaxlogError("MACHINE_FAILED", message, { cause, facts });
    }
  }

  /** The state as it is now, and from now on where a failing command leads back to. */
  snapshot(): MachineSnapshot {
    const { name, version } = this.machine;
    const pieces = [...this.save()].map((piece) => Uint8Array.from(piece));
    const snapshot = { name, version, position: this.#position, pieces };
    this.rebase(snapshot);
    return snapshot;
  }

  /** The state as it is now, piece by piece: to be taken before the next command. */
  save(): Iterable<Uint8Array> {
    return this.machine.save(this.#state);
  }

  /** The state as it is now, to be taken while commands go on; undefined: the machine cannot do that. */
  freeze(): FrozenState | undefined {
    return this.machine.freeze?.(this.#state);
  }

  /** Has failing commands lead back to this state, which was saved or frozen at its position, not before the base of now. */
  rebase(state: StateSource): void {
    const { position } = state;
    assert(position <= this.#position, "a replica begins anew where it is, or was");
    assert(position >= (this.#base?.position ?? 0), "a replica never goes back further than it did before");
    this.#base = state;
    for (const failed of this.#failures.keys()) if (failed < position) this.#failures.delete(failed);
  }

  #restored(): State {
    const base = this.#base;
    if (base === undefined) return this.machine.create();
    assert(base.name === this.machine.name, `a snapshot of ${base.name} is no state of ${this.machine.name}`);
    return this.machine.load(base.pieces, base.version);
  }

  #failure(position: number, cause: unknown): PaxlogError {
    const { name } = this.machine;
    const message =
      `the machine ${name} threw at the command at ${position} (${reasonOf(cause)}): ` +
      "nothing of the command was done, on any replica; mend the machine under a new version";
    return new PaxlogError("MACHINE_FAILED", message, { cause, facts: { machine: name, position } });
  }
}

function contextOf({ position, time, session }: EndRecord): ApplyContext {
  let random: (() => number) | undefined;
  return {
    position,
    time,
    session,
    random: () => {
      random ??= randomOf(position);
      return random();
    },
  };
}

/** Whether a function gave a promise in place of what it does. */
export const isThenable = (value: unknown): boolean =>
  typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
