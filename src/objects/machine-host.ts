import { asBuffer } from "../base/bytes.ts";
import { PaxlogError, toPaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
import { decompress } from "../client/compression.ts";
import type { Query } from "../core/guards.ts";
import { decodeBatch } from "../format/batch-decode.ts";
import { activationType, decodeActivation, type MachineActivation } from "../format/machine-records.ts";
import { type AnyMachine, recordTypeOf, sessionEndType } from "../machine/machine.ts";
import type { Follow, FollowedLog, FollowPace, ReadPiece, ReadStep, StoredBatch } from "../transport/backend.ts";
import type {
  CommandReply,
  MachineAnswer,
  MachineAnswers,
  MachineChanges,
  MachineStatus,
} from "../transport/object-backend.ts";
import type { Activated } from "./activated.ts";
import { AppliedWaits } from "./applied-waits.ts";
import type { BusyMark } from "./busy-mark.ts";
import { HostedMachine, type HostedRecord } from "./hosted-machine.ts";
import type { MachineKeeper } from "./machine-keeper.ts";
import type { MachineSnapshots } from "./machine-snapshots.ts";
import { commandReplyOf } from "./reply-cache.ts";

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
  readonly #waits: AppliedWaits;
  /** Woken when something was applied. */
  readonly #watching = new Set<() => void>();
  #hosted: HostedMachine;
  /** Every record below it is applied, or does not concern the machine. */
  #next = 1;
  /** Where it began to apply. */
  #begin = 1;
  /** What it waits for at the tail. */
  #following: Follow | undefined;
  /** The one that is about to be hurried. */
  #waking: Follow | undefined;
  /** A look at the log found nothing although somebody waits: this node does not show yet what is waited for. */
  #isAhead = false;
  /** performance.now() until which it hears of records at once: somebody waited for it not long ago. */
  #promptUntil = 0;
  #stopped: PaxlogError | undefined;
  #isRestored = false;
  /** The first failure of each position was noted; applying again meets it again. */
  #notedTo = 0;

  constructor(options: MachineHostOptions) {
    const { machine, keeper } = options;
    this.name = machine.name;
    this.#options = options;
    this.#type = recordTypeOf(machine);
    const types = machine.ended === undefined ? [this.#type] : [this.#type, sessionEndType];
    this.#query = { items: [{ types, tags: [] }, ...keeper.items] };
    this.#waits = new AppliedWaits(this.name);
    this.#hosted = new HostedMachine(machine);
  }

  /** Runs it until it is stopped. Never rejects. */
  async run(): Promise<void> {
    try {
      await this.#restore();
      while (this.#stopped === undefined) await this.#step();
    } catch (cause) {
      this.stop(toPaxlogError(cause));
    }
  }

  /** It does not go on, and this is why. */
  stop(cause: PaxlogError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = cause;
    if (cause.code !== "CLOSED") this.#options.note(`the machine ${this.name} stopped: ${cause.message}`);
    this.#waits.end(this.#stoppedError());
    for (const wake of this.#watching) wake();
    this.#wake();
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
      stopped: this.#stopped,
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
   * @throws PaxlogError UNAVAILABLE as long as it is loaded, POSITION_BELOW_HEAD where it has none itself, MACHINE_STOPPED.
   */
  async snapshots(newest: boolean): Promise<MachineSnapshots> {
    const { keeper, backend } = this.#options;
    if (this.#stopped !== undefined) throw this.#stoppedError();
    if (!this.#isRestored) {
      const message = `the machine ${this.name} has no state on this node yet`;
      const code = keeper.lacksState ? "POSITION_BELOW_HEAD" : "UNAVAILABLE";
      throw new PaxlogError(code, message, { facts: { machine: this.name } });
    }
    if (newest && keeper.kept < backend.bounds().head && !this.#hosted.isPristine) {
      keeper.saveNow(this.#hosted, this.#next);
      await keeper.settled();
    }
    return keeper.snapshots;
  }

  // ---- Those who ask

  /** What became of the commands at these positions, once they are applied. @throws the signal's reason, or CLOSED. */
  async replies(positions: readonly number[], signal?: AbortSignal): Promise<CommandReply[]> {
    this.#bePrompt();
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
      if (found === undefined) throw this.#changesGone(next);
      const { changes, isAll } = found;
      next = isAll ? Math.max(next, this.#next) : changes.at(-1)!.position + 1;
      if (changes.length > 0) return { changes, next: next as Position };
      if (performance.now() >= deadline) return { changes, next: next as Position };
      await this.#moved(deadline - performance.now(), signal);
    }
  }

  /** Until records up to this position are applied. A machine that was stopped applies no more. */
  async #reach(position: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#stopped !== undefined) throw this.#stoppedError();
    if (this.#next >= position && this.#isActive) return;
    this.#bePrompt();
    const reached = this.#waits.until(position, signal);
    this.#wake();
    await reached;
  }

  #bePrompt(): void {
    this.#promptUntil = performance.now() + limits.followPromptMs;
  }

  /** Until something was applied, or the time is over. */
  async #moved(timeMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#watching.size >= limits.machineWaitsMax) {
      throw new PaxlogError("OVERLOADED", `${this.#watching.size} watches wait for the machine ${this.name} here`);
    }
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        this.#watching.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, timeMs);
      timer.unref();
      signal?.addEventListener("abort", wake, { once: true });
      this.#watching.add(wake);
      this.#wake();
    });
    signal?.throwIfAborted();
    if (this.#stopped !== undefined) throw this.#stoppedError();
  }

  #changesGone(from: number): PaxlogError {
    const message = `the machine ${this.name} does not remember its changes from ${from} on: ask anew, and watch from there`;
    return new PaxlogError("CHANGES_GONE", message, { facts: { machine: this.name, from } });
  }

  #stoppedError(): PaxlogError {
    const cause = this.#stopped!;
    if (cause.code === "CLOSED") return cause;
    const message = `the machine ${this.name} stopped on this node: ${cause.message}`;
    return new PaxlogError("MACHINE_STOPPED", message, {
      cause,
      retryable: true,
      facts: { ...cause.facts, machine: this.name, reason: cause.code },
    });
  }

  // ---- Following

  async #restore(): Promise<void> {
    const { keeper, backend } = this.#options;
    this.#isRestored = false;
    const restored = await keeper.restore(backend.bounds().head);
    this.#hosted = restored.hosted;
    this.#isRestored = true;
    this.#begin = restored.next;
    this.#checkActivated();
    this.#reached(restored.next);
  }

  async #step(): Promise<void> {
    const { keeper } = this.#options;
    const piece = await this.#read();
    if (piece === undefined || this.#stopped !== undefined) return;
    for (const batch of piece.batches) {
      // A throw led back: what follows is read again.
      if (this.#applyBatch(batch) === "back") return;
    }
    if (this.#stopped !== undefined) return;
    this.#isAhead = piece.next <= this.#next && piece.batches.length === 0;
    // Started again, a node may not know yet that what its own snapshot holds was decided: then it shows less than that.
    this.#reached(Math.max(this.#next, piece.next));
    keeper.passed(this.#hosted, this.#next);
  }

  /** undefined where what comes next was trimmed: the state behind it was fetched instead. */
  async #read(): Promise<ReadPiece | undefined> {
    const { backend } = this.#options;
    const step: ReadStep = {
      direction: "forward",
      from: this.#next as Position,
      end: Number.MAX_SAFE_INTEGER as Position,
      query: this.#query,
      bytesMax: limits.messageEntryBytes,
      recordsMax: limits.machineTurnCommands,
    };
    const isAwaited = this.#waits.furthest > this.#next;
    try {
      if (isAwaited && !this.#isAhead) return await backend.read(step);
      return await this.#follow(step, isAwaited);
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
      if (type === this.#type || type === sessionEndType) {
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
      if (this.#stopped !== undefined) return "back";
    }
    return "on";
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
    if (this.#hosted.isAtPoint) keeper.point(this.#hosted);
    return this.#next;
  }

  #activate(position: number, view: ReturnType<typeof decodeBatch>, index: number): void {
    const decoded = decodeActivation(view.value(index));
    if (decoded.kind === "malformed" || decoded.value.machine !== this.name || !this.#isActivated) {
      return this.#hosted.advance(position);
    }
    this.#hosted.activate(position, decoded.value);
    this.#checkActivated();
  }

  /** What the log says of the machine matters: of those that come with the node only the space may be given code, its procedures. */
  get #isActivated(): boolean {
    return this.#options.own !== undefined || this.name === "space";
  }

  /** A node with other code than the activated one stops the machine; one with a newer version waits for its activation. */
  #checkActivated(): void {
    const { own } = this.#options;
    const { activated } = this.#hosted;
    if (activated === undefined || (own?.version ?? 0) > activated.version) return;
    if (own?.version === activated.version && own.code === activated.code) return;
    const has = own === undefined ? "none" : `version ${own.version} with SHA-256 ${own.code}`;
    const message =
      `the code of ${this.name} that is activated is version ${activated.version} with SHA-256 ${activated.code}, ` +
      `this node has ${has}: start it with the code that the others have`;
    this.stop(new PaxlogError("MACHINE_STOPPED", message, { facts: { machine: this.name } }));
  }

  /** The log says that nodes run what this one has, where it has to say so. */
  get #isActive(): boolean {
    const { own } = this.#options;
    return own === undefined || this.#hosted.activated?.version === own.version;
  }

  /** What a leader should write down: this machine is newer than what was activated, and has applied all of the log. */
  get activation(): MachineActivation | undefined {
    const { own, backend } = this.#options;
    if (own === undefined || this.#stopped !== undefined || !this.#isRestored || this.#isActive) return undefined;
    if (this.#next < backend.bounds().tail) {
      this.#wake();
      return undefined;
    }
    return { machine: this.name, ...own };
  }

  #reached(position: number): void {
    this.#next = position;
    if (this.#isActive) this.#waits.reached(position);
    for (const wake of [...this.#watching]) wake();
  }

  /** Waits at the tail for records. */
  async #follow(step: ReadStep, isAwaited: boolean): Promise<ReadPiece> {
    const following = this.#options.backend.follow(step, this.#pace);
    this.#following = following;
    // What is waited for may come without a record that concerns the machine, so nothing would tell.
    const timer = isAwaited ? setTimeout(() => following.hurry(), lookAgainMs).unref() : undefined;
    try {
      return await following.piece;
    } finally {
      clearTimeout(timer);
      this.#following = undefined;
    }
  }

  /** Lazy where it is at the tail and nobody is held up by it. */
  get #pace(): FollowPace {
    const isAtTail = this.#next >= this.#options.backend.bounds().tail;
    const isFree = this.#watching.size === 0 && performance.now() >= this.#promptUntil;
    return isAtTail && isFree ? "lazy" : "prompt";
  }

  /** Somebody waits for more than is applied. What is in the port already comes before the engine is troubled. */
  #wake(): void {
    const following = this.#following;
    if (following === undefined || following === this.#waking) return;
    this.#waking = following;
    setImmediate(() => {
      if (this.#following === following) following.hurry();
    });
  }
}

/** Where somebody waits for a position that this node does not show yet. */
const lookAgainMs = 5;

/** undefined where the values of the batch cannot be decompressed. */
function readable(view: ReturnType<typeof decodeBatch>, index: number): Uint8Array | undefined {
  try {
    return view.value(index);
  } catch {
    return undefined;
  }
}
