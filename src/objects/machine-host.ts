import { setTimeout as sleep } from "node:timers/promises";
import { asBuffer } from "../base/bytes.ts";
import { PaxlogError, toPaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
import { decompress } from "../client/compression.ts";
import type { Query } from "../core/guards.ts";
import { decodeBatch } from "../format/batch-decode.ts";
import { activationType, decodeActivation, type MachineActivation } from "../format/machine-records.ts";
import { type AnyMachine, recordTypeOf, sessionEndType } from "../machine/machine.ts";
import type { FollowedLog, ReadPiece, StoredBatch } from "../transport/backend.ts";
import type {
  Admission,
  CommandReply,
  MachineAnswer,
  MachineAnswers,
  MachineChanges,
  MachineStatus,
} from "../transport/object-backend.ts";
import type { Activated } from "./activated.ts";
import { AppliedWaits } from "./applied-waits.ts";
import type { BusyMark } from "./busy-mark.ts";
import { type CodeUse, codeUseOf, isSame, lacksState, otherCode, waitsForState } from "./code-use.ts";
import { changesGone, noSuchState, stoppedHere } from "./host-errors.ts";
import { HostedMachine, type HostedRecord } from "./hosted-machine.ts";
import type { MachineKeeper, RestoredState } from "./machine-keeper.ts";
import type { MachineSnapshots } from "./machine-snapshots.ts";
import { RecordReader } from "./record-reader.ts";
import { commandReplyOf } from "./reply-cache.ts";
import { Watchers } from "./watchers.ts";

export interface MachineHostOptions {
  readonly machine: AnyMachine;
  /** Its version and code, where the log has to say that nodes run them; undefined: it comes with the node. */
  readonly own: Activated | undefined;
  /** Bounds and all: it serves already. */
  readonly backend: FollowedLog;
  /** What becomes of its state on disk, and between nodes. */
  readonly keeper: MachineKeeper;
  readonly busy: BusyMark;
  readonly note: (text: string) => void;
  /** Told whether commands may be appended for it, whenever that may have changed. */
  readonly admit: (admission: Admission) => void;
}

/**
 * A machine on a node: follows the log from its newest snapshot, applies what concerns it, and answers those who wait. What goes wrong with
 * it stops it and nothing else. Never on the way of an append: it reads what is decided, as any reader does.
 */
export class MachineHost {
  readonly name: string;
  readonly #options: MachineHostOptions;
  readonly #type: string;
  readonly #query: Query;
  /** With the ends of sessions, of which other code may be told. */
  readonly #queryOfAll: Query;
  readonly #waits: AppliedWaits;
  readonly #reader: RecordReader;
  /** Woken when something was applied. */
  readonly #watching: Watchers;
  #hosted: HostedMachine;
  /** Every record below it is applied, or does not concern the machine. */
  #next = 1;
  /** Where it began to apply. */
  #begin = 1;
  #stopped: PaxlogError | undefined;
  #isRestored = false;
  /** Commands were passed over that are for older code: a state is needed that has everything below this in it; 0: none were. */
  #neededState = 0;
  /** It waits for that state, and does not go on before. */
  #waiting: PaxlogError | undefined;
  /** Behind the last record that was applied. */
  #appliedEnd = 0;
  /** It stopped because other code was activated: its last state is to be saved for that. */
  #leaves = false;
  /** The node is about to end. */
  #isLeaving = false;
  /** It stopped, but what it saved is as good as that of others. */
  #isValid = false;
  #ran: Promise<void> | undefined;
  /** The first failure of each position was noted; applying again meets it again. */
  #notedTo = 0;

  constructor(options: MachineHostOptions) {
    const { machine, keeper } = options;
    this.name = machine.name;
    this.#options = options;
    this.#type = recordTypeOf(machine);
    const all = [this.#type, sessionEndType];
    const types = machine.ended === undefined ? [this.#type] : all;
    this.#query = { items: [{ types, tags: [] }, ...keeper.items] };
    this.#queryOfAll = { items: [{ types: all, tags: [] }, ...keeper.items] };
    this.#waits = new AppliedWaits(this.name);
    this.#watching = new Watchers(this.name);
    this.#reader = new RecordReader(options.backend);
    this.#hosted = new HostedMachine(machine);
  }

  /** Runs it until it is stopped. Never rejects. */
  run(): Promise<void> {
    this.#ran ??= this.#run();
    return this.#ran;
  }

  async #run(): Promise<void> {
    const { keeper, note } = this.#options;
    try {
      await this.#restore();
      while (this.#stopped === undefined) {
        await (this.#waiting === undefined ? this.#step() : this.#obtain(this.#waiting));
      }
      if (!this.#leaves || keeper.kept >= this.#next) return;
      await keeper.settled();
      keeper.saveNow(this.#hosted, this.#next);
      await keeper.settled();
      note(`the state of the machine ${this.name} that the new code begins with is saved: position ${this.#next}`);
    } catch (cause) {
      this.stop(toPaxlogError(cause));
    }
  }

  /** It does not go on, and this is why. `states`: whether what it saved may be given to other nodes. */
  stop(cause: PaxlogError, states: "valid" | "not to be trusted" = "not to be trusted"): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = cause;
    this.#isValid = states === "valid";
    this.#admit();
    if (cause.code !== "CLOSED") this.#options.note(`the machine ${this.name} stopped: ${cause.message}`);
    this.#waits.end(stoppedHere(this.name, cause));
    this.#watching.wake();
    this.#reader.wake();
  }

  /**
   * Before the node ends: takes no more commands, applies those that are under way and saves the state of the user's code, so that newer
   * code can begin with it. Within limits.machineLeaveMs, about. Never rejects.
   */
  async leave(): Promise<void> {
    const { own, keeper } = this.#options;
    this.#isLeaving = true;
    this.#admit();
    if (own === undefined || this.#stopped !== undefined || !this.#isRestored || !this.#mayKeep) return;
    try {
      // What was taken before is decided soon, or by another node, where nobody can tell.
      await sleep(limits.machineLookMs);
      await this.look();
      if (this.#stopped !== undefined || !this.#mayKeep || this.#appliedEnd <= keeper.kept) return;
      await keeper.saveWithin(this.#hosted, this.#next, limits.machineLeaveMs);
    } catch (cause) {
      this.stop(toPaxlogError(cause));
    }
  }

  /** Lets it apply what this node shows, for a moment: what is missing then it lacks for longer. */
  async look(): Promise<void> {
    const { backend } = this.#options;
    const signal = AbortSignal.timeout(limits.machineLookMs);
    await this.#reach(backend.bounds().tail, signal).catch(() => {});
  }

  get status(): MachineStatus {
    const { machine, own, keeper, busy } = this.#options;
    return {
      name: this.name,
      version: machine.version,
      code: own?.code ?? "",
      applied: this.#next,
      snapshot: keeper.kept,
      stopped: this.#stopped ?? this.#waiting,
      busyMs: busy.busyMs,
    };
  }

  /** From where on it needs the log, should it start again; undefined: it needs nothing of it. */
  get neededFrom(): number | undefined {
    if (this.#stopped !== undefined || !this.#isRestored) return undefined;
    return this.#hosted.isPristine ? undefined : Math.max(1, this.#options.keeper.kept);
  }

  /**
   * What is on disk of it, for others. With `newest` the state is saved now where that on disk may lack what was trimmed.
   * @throws PaxlogError UNAVAILABLE as long as it is loaded or on its way to `atLeast`, POSITION_BELOW_HEAD where it has none itself,
   * MACHINE_STOPPED.
   */
  async snapshots(newest: boolean, atLeast: number): Promise<MachineSnapshots> {
    const { keeper, backend } = this.#options;
    if (this.#stopped !== undefined) {
      if (!this.#isValid) throw stoppedHere(this.name, this.#stopped);
      await this.#ran;
    } else if (!this.#isRestored) throw noSuchState(this.name, keeper.lacksState);
    else if (newest && this.#mayKeep && keeper.kept < Math.max(backend.bounds().head, Math.min(atLeast, this.#next))) {
      keeper.saveNow(this.#hosted, this.#next);
      await keeper.settled();
    }
    if (newest && keeper.kept < atLeast) {
      const comes = this.#stopped === undefined && this.#use !== "passes";
      throw noSuchState(this.name, !comes || (this.#hosted.isPristine && this.#next >= atLeast));
    }
    return keeper.snapshots;
  }

  /** The state is one that others may have: by the code that the log says. */
  get #mayKeep(): boolean {
    return this.#use === "applies" && !this.#hosted.isPristine;
  }

  // ---- Those who ask

  /** What became of the commands at these positions, once they are applied. @throws the signal's reason, or CLOSED. */
  async replies(positions: readonly number[], signal?: AbortSignal): Promise<CommandReply[]> {
    this.#reader.bePrompt();
    try {
      await this.#reach(positions.at(-1)! + 1, signal);
    } catch (cause) {
      const error = toPaxlogError(cause);
      if (error.code !== "MACHINE_STOPPED") throw error;
      return positions.map(() => ({ kind: "failed", error }));
    }
    return positions.map((position) => commandReplyOf(this.name, position, this.#hosted.replyAt(position)));
  }

  /** @throws PaxlogError as ObjectBackend.ask. */
  async ask(question: Uint8Array, appliedTo: number, signal?: AbortSignal): Promise<MachineAnswer> {
    await this.#reach(appliedTo, signal);
    return { answer: this.#hosted.ask(question), position: this.#next as Position };
  }

  /** @throws PaxlogError as ObjectBackend.askMany. */
  async askMany(questions: readonly Uint8Array[], appliedTo: number, signal?: AbortSignal): Promise<MachineAnswers> {
    await this.#reach(appliedTo, signal);
    let bytes = 0;
    const answers = questions.map((question) => {
      try {
        const answer = this.#hosted.ask(question);
        if (bytes + answer.length > limits.askManyBytes) return undefined;
        bytes += answer.length;
        return answer;
      } catch {
        // Whoever asks it by itself hears why.
        return undefined;
      }
    });
    return { answers, position: this.#next as Position };
  }

  /** @throws PaxlogError as ObjectBackend.changes. */
  async changes(question: Uint8Array, from: number, signal?: AbortSignal): Promise<MachineChanges> {
    await this.#reach(from, signal);
    const begin = from || this.#next;
    const deadline = performance.now() + limits.watchHeartbeatMs;
    for (let next = begin; ; ) {
      const found = this.#hosted.changes(question, next, limits.watchChangesMax);
      if (found === undefined) throw changesGone(this.name, next);
      const { changes, isAll } = found;
      next = isAll ? Math.max(next, this.#next) : changes.at(-1)!.position + 1;
      if (changes.length > 0) return { changes, next: next as Position };
      if (performance.now() >= deadline) return { changes, next: next as Position };
      await this.#moved(deadline - performance.now(), signal);
    }
  }

  /** Until records up to this position are applied. A machine that was stopped applies no more. */
  async #reach(position: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#stopped !== undefined) throw stoppedHere(this.name, this.#stopped);
    if (this.#next >= position && this.#isActive) return;
    this.#reader.bePrompt();
    const reached = this.#waits.until(position, signal);
    this.#reader.wake();
    await reached;
  }

  /** Until something was applied, or the time is over. */
  async #moved(timeMs: number, signal: AbortSignal | undefined): Promise<void> {
    const moved = this.#watching.moved(timeMs, signal);
    this.#reader.wake();
    await moved;
    signal?.throwIfAborted();
    if (this.#stopped !== undefined) throw stoppedHere(this.name, this.#stopped);
  }

  // ---- Following

  async #restore(): Promise<void> {
    const { keeper, backend } = this.#options;
    this.#isRestored = false;
    this.#begun(await keeper.restore(backend.bounds().head));
  }

  /** Goes on from another node's state, which has in it what only older code can do. */
  async #obtain(why: PaxlogError): Promise<void> {
    const { keeper, note } = this.#options;
    note(why.message);
    const found = await keeper.fetch(this.#neededState);
    this.#waiting = undefined;
    if (found !== undefined) return this.#begun(found);
    this.stop(lacksState(this.name, this.#neededState, this.#hosted.activated), "valid");
  }

  #begun({ hosted, next }: RestoredState): void {
    this.#hosted = hosted;
    this.#isRestored = true;
    this.#begin = next;
    this.#neededState = 0;
    this.#appliedEnd = 0;
    this.#checkActivated();
    this.#reached(next);
  }

  async #step(): Promise<void> {
    const { keeper } = this.#options;
    const piece = await this.#read();
    if (piece === undefined || this.#stopped !== undefined) return;
    for (const batch of piece.batches) {
      // A throw led back: what follows is read again.
      if (this.#applyBatch(batch) === "back") return;
    }
    if (this.#stopped !== undefined || this.#waiting !== undefined) return;
    // Started again, a node may not know yet that what its own snapshot holds was decided: then it shows less than that.
    this.#reached(Math.max(this.#next, piece.next));
    if (this.#mayKeep) keeper.passed(this.#hosted, this.#next);
  }

  /** undefined where what comes next was trimmed: the state behind it was fetched instead. */
  async #read(): Promise<ReadPiece | undefined> {
    const query = this.#use === "passes" ? this.#queryOfAll : this.#query;
    const mood = { isAwaited: this.#waits.furthest > this.#next, isWatched: this.#watching.count > 0 };
    try {
      return await this.#reader.next(this.#next, query, mood);
    } catch (cause) {
      if (!(cause instanceof PaxlogError) || cause.code !== "POSITION_BELOW_HEAD") throw cause;
      await this.#restore();
      return undefined;
    }
  }

  /** "back": what is to be applied next is not behind the batch, or nothing is. */
  #applyBatch(batch: StoredBatch): "back" | "on" {
    const { firstPosition, recordCount, time, session, ordinals, selected } = batch;
    // Views of a Buffer are Buffers: codecs read those without another view of each command.
    const view = decodeBatch(asBuffer(batch.batch), decompress);
    const batchEnd = firstPosition + recordCount;
    const count = ordinals?.length ?? recordCount;
    for (let each = 0; each < count; each += 1) {
      const ordinal = ordinals?.[each] ?? each;
      const index = selected === true ? each : ordinal;
      const position = firstPosition + ordinal;
      if (position < this.#next) continue;
      const type = view.type(index);
      if ((type === this.#type || type === sessionEndType) && !this.#isForOwnCode(type, position)) {
        this.#hosted.advance(position + 1);
      } else if (type === this.#type || type === sessionEndType) {
        const value = type === this.#type ? readable(view, index) : undefined;
        // Written out: spreading what they have in common costs as much as a command does.
        const resumeFrom = this.#apply(
          type === sessionEndType
            ? { kind: "sessionEnd", position, time, session, batchEnd }
            : value === undefined
              ? { kind: "unreadable", position, time, session, batchEnd }
              : { kind: "command", position, time, session, batchEnd, value },
        );
        if (resumeFrom <= position) return "back";
      } else if (type === activationType) {
        this.#activate(position, view, index);
      } else {
        this.#hosted.advance(position);
        const end = this.#options.keeper.told(type ?? "", position, () => view.value(index));
        if (end !== undefined) this.stop(end);
      }
      if (this.#stopped !== undefined || this.#waiting !== undefined) return "back";
    }
    return "on";
  }

  /** Whether a command, or the end of a session, is applied here. What older code did with it a state has to bring. */
  #isForOwnCode(type: string, position: number): boolean {
    const isEnd = type === sessionEndType;
    if (this.#use !== "passes") return !isEnd || this.#options.machine.ended !== undefined;
    if (!isEnd || this.#hosted.hearsEnds) this.#neededState = position + 1;
    return false;
  }

  #apply(record: HostedRecord): number {
    const { busy, keeper } = this.#options;
    busy.begin(record.position);
    const { resumeFrom, error } = this.#hosted.apply(record);
    busy.end();
    if (error !== undefined && record.position >= this.#notedTo) {
      this.#notedTo = record.position + 1;
      this.#options.note(error.message);
    }
    // A state that was never saved began where the log did.
    this.#next = Math.max(resumeFrom, this.#begin);
    this.#appliedEnd = this.#next;
    if (this.#hosted.isAtPoint && this.#mayKeep) keeper.point(this.#hosted);
    return this.#next;
  }

  #activate(position: number, view: ReturnType<typeof decodeBatch>, index: number): void {
    const decoded = decodeActivation(view.value(index));
    const { activated } = this.#hosted;
    if (
      decoded.kind === "malformed" ||
      decoded.value.machine !== this.name ||
      !this.#isActivated ||
      decoded.value.version <= (activated?.version ?? 0)
    ) {
      return this.#hosted.advance(position + 1);
    }
    const { own } = this.#options;
    const use = this.#use;
    const isOwn = isSame(own, decoded.value);
    if (isOwn && this.#neededState > 0) {
      // The activation is looked at again behind the state that is needed.
      this.#next = position;
      this.#waiting = waitsForState(this.name, this.#neededState, activated);
      return;
    }
    if (use === "applies" && codeUseOf(own, decoded.value, this.#isBuiltin) === "differs") {
      // What the own code did up to here is for the new one to begin with, wherever that runs.
      this.#next = position;
      this.#leaves = !this.#hosted.isPristine;
      return this.stop(otherCode(this.name, own, decoded.value), "valid");
    }
    this.#hosted.activate(position, decoded.value);
    // A state that the new code begins with is the old code's: one that no older code made is none, even if it is empty.
    if (!isOwn && use !== "applies") this.#neededState = position + 1;
    this.#checkActivated();
    if (!isOwn || this.#stopped !== undefined) return;
    this.#next = position + 1;
    this.#options.keeper.saveNow(this.#hosted, this.#next);
  }

  /** What the log says of the machine matters: of those that come with the node only the space may be given code, its procedures. */
  get #isActivated(): boolean {
    return this.#options.own !== undefined || this.#isBuiltin;
  }

  get #isBuiltin(): boolean {
    return this.name === "space";
  }

  get #use(): CodeUse {
    return codeUseOf(this.#options.own, this.#hosted.activated, this.#isBuiltin);
  }

  /** A node with other code than the activated one stops the machine; one with a newer version waits for its activation. */
  #checkActivated(): void {
    const { own } = this.#options;
    const { activated } = this.#hosted;
    if (activated !== undefined && this.#use === "differs") this.stop(otherCode(this.name, own, activated), "valid");
    this.#admit();
  }

  /** The log says that nodes run what this one has, where it has to say so. */
  get #isActive(): boolean {
    const { own } = this.#options;
    return own === undefined || this.#hosted.activated?.version === own.version;
  }

  /** Whether commands may be appended for it here: not what no code here would apply. */
  get admission(): Admission {
    if (this.#isLeaving) return "later";
    if (this.#stopped !== undefined) return "stopped";
    return this.#isRestored && this.#isActive ? "now" : "later";
  }

  #admit(): void {
    this.#options.admit(this.admission);
  }

  /** What a leader should write down: this machine is newer than what was activated, and has applied all of the log. */
  get activation(): MachineActivation | undefined {
    const { own, backend } = this.#options;
    if (own === undefined || this.#stopped !== undefined || this.#waiting !== undefined) return undefined;
    if (this.#isLeaving || !this.#isRestored || this.#isActive) return undefined;
    if (this.#next < backend.bounds().tail) {
      this.#reader.wake();
      return undefined;
    }
    return { machine: this.name, ...own };
  }

  #reached(position: number): void {
    this.#next = position;
    if (this.#isActive) this.#waits.reached(position);
    this.#watching.wake();
  }
}

/** undefined where the values of the batch cannot be decompressed. */
function readable(view: ReturnType<typeof decodeBatch>, index: number): Uint8Array | undefined {
  try {
    return view.value(index);
  } catch {
    return undefined;
  }
}
