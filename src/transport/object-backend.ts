import type { Position } from "../base/types.ts";
import type { MachineStatus } from "../format/machine-status.ts";
import type { CommandReply, SnapshotHeader } from "../format/object-codec.ts";
import type { MachineChange } from "../machine/machine.ts";

export type { MachineStatus } from "../format/machine-status.ts";
export type { CommandReply, SnapshotHeader } from "../format/object-codec.ts";

/** What the gRPC service needs of the machines of a node. Tests may put another in its place. */
export interface ObjectBackend {
  /** Whether a machine of this name runs here, or would if it had not stopped. Its commands are records of type "$name". */
  has(machine: string): boolean;
  /** Whether its commands may be appended. */
  admission(machine: string): Admission;
  /**
   * What became of the commands of an acknowledged batch, one for each, in order: as soon as the machines here have applied them. Never
   * rejects for what a machine makes of a command. @throws PaxlogError CLOSED, or CANCELLED by the signal: outcome "unknown".
   */
  replies(commands: AppendedCommands, signal?: AbortSignal): Promise<readonly CommandReply[]>;
  /** Answers from the machine's state here. @throws PaxlogError MACHINE_UNKNOWN, MACHINE_STOPPED, MACHINE_FAILED or INVALID_ARGUMENT. */
  ask(question: MachineQuestion, signal?: AbortSignal): Promise<MachineAnswer>;
  /** As `ask`, for many questions, all from one state; what is refused, or answered at too great a length, is undefined. */
  askMany(questions: MachineQuestions, signal?: AbortSignal): Promise<MachineAnswers>;
  /**
   * One step of a watch: waits until there is a change to what the question is about, or until `next` has moved on for long enough that
   * the caller should know it. @throws PaxlogError as `ask`, and CHANGES_GONE.
   */
  changes(question: ChangesQuestion, signal?: AbortSignal): Promise<MachineChanges>;
  list(): Promise<readonly MachineStatus[]>;
  /**
   * A piece of a snapshot from an offset on.
   * @throws PaxlogError MACHINE_UNKNOWN, MACHINE_STOPPED, POSITION_BELOW_HEAD: it is not kept, UNAVAILABLE: not yet.
   */
  snapshot(wanted: SnapshotWanted): Promise<SnapshotPiece>;
}

/**
 * Whether commands may be appended for a machine: "later" where its code waits to be activated, or the node stops, since nobody could say
 * which code such a command is for; "stopped" where nobody here would answer.
 */
export type Admission = "now" | "later" | "stopped";

/** A batch in the log whose records are all commands. */
export interface AppendedCommands {
  readonly firstPosition: Position;
  /** Whose command each record is; a single name where all are of one machine. */
  readonly machines: readonly string[];
  readonly recordCount: number;
  /** In which it was appended; 0: none. */
  readonly session: number;
}

export interface MachineQuestion {
  readonly machine: string;
  readonly question: Uint8Array;
  /** Every command below it is in the answer; 0: at once. */
  readonly appliedTo: Position | 0;
}

export interface MachineQuestions {
  readonly machine: string;
  readonly questions: readonly Uint8Array[];
  /** As MachineQuestion.appliedTo. */
  readonly appliedTo: Position | 0;
}

export interface MachineAnswers {
  readonly answers: readonly (Uint8Array | undefined)[];
  /** As MachineAnswer.position. */
  readonly position: Position;
}

export interface MachineAnswer {
  readonly answer: Uint8Array;
  /** Every command below it is in the answer. */
  readonly position: Position;
}

export interface ChangesQuestion {
  readonly machine: string;
  readonly question: Uint8Array;
  /** 0: from what is applied now. */
  readonly from: Position | 0;
}

export interface MachineChanges {
  readonly changes: readonly MachineChange[];
  /** Everything before it was told. */
  readonly next: Position;
}

export interface SnapshotWanted {
  readonly machine: string;
  /** 0: the newest one. */
  readonly position: Position | 0;
  readonly offset: number;
  /** Of the newest one: its position at least. */
  readonly atLeast: number;
}

export interface SnapshotPiece {
  readonly header: SnapshotHeader;
  /** Empty behind the end. */
  readonly piece: Uint8Array;
}
