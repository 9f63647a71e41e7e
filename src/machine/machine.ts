import { type ErrorFacts, PaxlogError } from "../base/errors.ts";

/** A number from 0 to below 1. */
export type RandomNumber = () => number;

/** What a machine may know of the world: where and when its command stands in the log. The same on every replica. */
export interface ApplyContext {
  /** Of the command's record. */
  readonly position: number;
  /** The log's time for it, in milliseconds since 1970; never smaller at a later position. */
  readonly time: number;
  /** The session in which the command was appended; 0: none. Nobody else can append in its name. */
  readonly session: number;
  /** Drawn from the position: each command has numbers of its own, alike on all replicas. */
  random(): number;
}

/** Bytes of a value and back. `decode` throws for bytes that are none. */
export interface Codec<Value> {
  encode(value: Value): Uint8Array;
  decode(bytes: Uint8Array): Value;
}

/** One thing that happened to a state. */
export interface MachineChange {
  /** Of the record that made it. */
  readonly position: number;
  readonly time: number;
  /** As the machine writes its changes. */
  readonly change: Uint8Array;
}

/** A state as it was at one moment, as bytes that may be taken later: commands go on meanwhile. */
export interface FrozenState {
  /** Those that `save` would have given at that moment, however they are cut. To be taken once. */
  readonly pieces: Iterable<Uint8Array>;
  /** No more of them are taken. Once, whether all were taken or not. */
  release(): void;
}

/** How what a machine says and is asked crosses a network; only where it runs on nodes. JSON unless given. */
export interface MachineCodecs<Reply, Question, Answer> {
  readonly replies?: Codec<Reply>;
  readonly questions?: Codec<Question>;
  readonly answers?: Codec<Answer>;
}

/**
 * A deterministic state machine over the log (state-machine replication; Schneider 1990). Whoever applies the same commands to
 * the same state gets the same state and the same replies: so every function here is synchronous, and looks at nothing but its
 * arguments. No clock, chance, environment, timer or promise: `paxlog/testing` finds what does.
 *
 * A refusal that callers expect is a reply. A throw in `apply` is a bug of the machine: its host goes back to the state before the
 * command, alike on all replicas, and answers MACHINE_FAILED.
 */
export interface Machine<State, Command, Reply, Question = never, Answer = never> {
  /** Its commands are the log's records of type "$name": 1 to 64 characters of a-z, 0-9, ".", "_" and "-". */
  readonly name: string;
  /** Of the state's form and of what commands do; from 1. A new one is told the old one by `load`. */
  readonly version: number;
  /** The state before the first command. */
  create(): State;
  /** Changes the state and says what became of the command. */
  apply(state: State, command: Command, at: ApplyContext): Reply;
  /** Answers without a change. */
  ask?(state: Readonly<State>, question: Question): Answer;
  /**
   * A session that was opened with `announceEnd` ended, at this place in the log: what is bound to `at.session` goes. May be told of a
   * session that it never saw, and more than once.
   */
  ended?(state: State, at: ApplyContext): void;
  /**
   * What happened, from a position on, to what the question is about; oldest first, `max` of them or a few more, for a
   * position's are never parted: who wants the next ones asks from behind the last. The state holds what it takes:
   * a bounded record of the last changes (ChangeLog). undefined where it does not reach back to `from`.
   */
  changes?(state: Readonly<State>, question: Question, from: number, max: number): readonly MachineChange[] | undefined;
  /** The state as bytes: the same for the same commands, in pieces of any size. */
  save(state: State): Iterable<Uint8Array>;
  /**
   * For a machine whose state may be so large that commands and questions should not wait until all of it is saved: the state of now,
   * whatever commands make of it before its pieces are taken. Without it a host takes what `save` gives, at once.
   */
  freeze?(state: State): FrozenState;
  /** The state that `save` of this or an older version gave. Throws for what it cannot read. */
  load(pieces: Iterable<Uint8Array>, version: number): State;
  /** How commands stand in the log; JSON unless given. */
  readonly commands?: Codec<Command>;
  /** In a program replies, questions and answers never leave it. */
  readonly codecs?: MachineCodecs<Reply, Question, Answer>;
}

/** A machine of any types, for those that only pass it on. */
// biome-ignore lint/suspicious/noExplicitAny: variance: no other type takes every machine.
export type AnyMachine = Machine<any, any, any, any, any>;

export type CommandOf<M> = M extends Machine<infer _S, infer Command, infer _R, infer _Q, infer _A> ? Command : never;
export type ReplyOf<M> = M extends Machine<infer _S, infer _C, infer Reply, infer _Q, infer _A> ? Reply : never;
export type QuestionOf<M> =
  M extends Machine<infer _S, infer _C, infer _R, infer Question, infer _A> ? Question : never;
export type AnswerOf<M> = M extends Machine<infer _S, infer _C, infer _R, infer _Q, infer Answer> ? Answer : never;

/** The machine as it is, with its types found from its functions. */
export const defineMachine = <State, Command, Reply, Question = never, Answer = never>(
  machine: Machine<State, Command, Reply, Question, Answer>,
): Machine<State, Command, Reply, Question, Answer> => machine;

/** The type of the records that are its commands. */
export const recordTypeOf = (machine: Pick<AnyMachine, "name">): string => `$${machine.name}`;

/**
 * The type of the record that says that a session ended. It stands in a batch of that session, which no client can send in another's
 * name.
 */
export const sessionEndType = "$session";

/** What the log itself calls its records: no machine may have these names. */
const reservedNames: ReadonlySet<string> = new Set(["session", "machine-hash", "activation"]);

/**
 * Whether records of this type are the log's own, so that no client may append one: what begins with "$" and is no machine's command.
 */
export const isReservedType = (type: string): boolean =>
  type.startsWith("$") && (reservedNames.has(type.slice(1)) || !legalName.test(type.slice(1)));

/** The error of an append with such a type. */
export function typeReserved(type: string, facts: ErrorFacts = {}): PaxlogError {
  const message = `records of type ${JSON.stringify(type)} are the log's own: types that begin with "$" are commands of machines`;
  return new PaxlogError("TYPE_RESERVED", message, { facts: { ...facts, type } });
}

const legalName = /^[a-z0-9._-]{1,64}$/;

/** What is wrong with a machine's name or version, if anything is. */
export function faultOfMachine({ name, version }: Pick<AnyMachine, "name" | "version">): string | undefined {
  if (typeof name !== "string" || !legalName.test(name)) {
    return `a machine's name must have 1 to 64 characters of a-z, 0-9, ".", "_" and "-", not ${JSON.stringify(name)}`;
  }
  if (reservedNames.has(name)) return `no machine may be named ${name}: records of type "$${name}" are the log's own`;
  if (!Number.isSafeInteger(version) || version < 1) return `the version of ${name} must be a whole number from 1`;
  return undefined;
}
