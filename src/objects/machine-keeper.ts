import { setTimeout as sleep } from "node:timers/promises";
import { equalBytes } from "../base/bytes.ts";
import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { QueryItem } from "../core/guards.ts";
import {
  activationType,
  decodeMachineHash,
  type MachineHash,
  machineHashType,
  machineTag,
} from "../format/machine-records.ts";
import type { SnapshotHeader } from "../format/object-codec.ts";
import type { AnyMachine } from "../machine/machine.ts";
import { HostedMachine, type HostedSource } from "./hosted-machine.ts";
import type { MachineSnapshots, SnapshotFile, WrittenSnapshot } from "./machine-snapshots.ts";
import { type SavedState, StateSave } from "./state-save.ts";

export interface MachineKeeperOptions {
  readonly machine: AnyMachine;
  /** As HostedMachine's: applies what came before the first activation. */
  readonly before?: AnyMachine["apply"] | undefined;
  readonly snapshots: MachineSnapshots;
  readonly hashing: Hashing;
  readonly note: (text: string) => void;
  /** The machine threw while its state was saved between its commands. */
  readonly onBroken: (cause: unknown) => void;
  /** A state that nodes compare: told at the same commands on each of them. */
  readonly onPoint: (point: MachineHash) => void;
  /** Another node's state of at least this position; undefined: no other node has one, and none could. Keeps asking until it knows. */
  readonly fetch: (atLeast: number) => Promise<FetchedState | undefined>;
}

interface FetchedState {
  readonly header: SnapshotHeader;
  readonly source: HostedSource;
}

/** A state, and the position from which on records are to be applied to it. */
export interface RestoredState {
  readonly hosted: HostedMachine;
  readonly next: number;
}

interface Saving {
  readonly hosted: HostedMachine;
  readonly save: StateSave;
  onSaved(state: SavedState["header"], spentMs: number): void;
}

/** States that nodes compare, of which the own hash is remembered until the log says what it should be. */
const pointsMax = 16;
/** After saving a state between two points nothing is saved for so many times as long as that took. */
const restFactor = 20;

/** What becomes of a machine's state beside what it answers: it is saved, loaded, and compared with that of the other nodes. */
export class MachineKeeper {
  /** Records that concern the keeper. */
  readonly items: readonly QueryItem[];
  readonly #options: MachineKeeperOptions;
  readonly #hashes = new Map<number, Uint8Array>();
  /** Position of the newest snapshot that is durable here; 0: none. */
  #kept = 0;
  #keeping: Promise<void> | undefined;
  /** A state that is not saved to its end yet; then it is kept. */
  #saving: Saving | undefined;
  /** The state came to differ from that of other nodes: nothing of it is kept. */
  #differs = false;
  #lacksState = false;
  /** When a state may be saved next where nothing demands it. */
  #restUntilMs = 0;

  constructor(options: MachineKeeperOptions) {
    this.#options = options;
    this.items = [{ types: [machineHashType, activationType], tags: [machineTag(options.machine.name)] }];
  }

  get kept(): number {
    return this.#kept;
  }

  /** The own states are older than the log's head: it asks other nodes for theirs. */
  get lacksState(): boolean {
    return this.#lacksState;
  }

  get snapshots(): MachineSnapshots {
    return this.#options.snapshots;
  }

  /**
   * The newest state that can be had, and the position from which on records are to be applied to it: at least the log's head.
   * @throws PaxlogError DAMAGED where there were states, and none is left that covers what was trimmed; what the machine's `load` throws.
   */
  async restore(head: number): Promise<RestoredState> {
    const { machine, snapshots } = this.#options;
    // Nothing of a state that was left behind is to be kept, or to be the base of another one.
    await this.close();
    await snapshots.prepare();
    const own = this.#newest(head);
    if (own !== undefined) return own;
    this.#lacksState = head > 1;
    const fetched = head > 1 ? await this.#options.fetch(head) : undefined;
    this.#lacksState = false;
    if (fetched === undefined) {
      // A snapshot, also one that cannot be read, shows that there were commands. Without them a state would be made up.
      if (head > 1 && snapshots.list().length > 0) throw noState(machine.name, head);
      return { hosted: this.#hosted(), next: head };
    }
    return this.#adopt(fetched);
  }

  /** Another node's state that has every command below a position in it; undefined: no other node has one. Keeps asking until it knows. */
  async fetch(atLeast: number): Promise<RestoredState | undefined> {
    await this.close();
    const fetched = await this.#options.fetch(atLeast);
    return fetched && this.#adopt(fetched);
  }

  #adopt({ header, source }: FetchedState): RestoredState {
    const hosted = this.#hosted(source);
    this.#save(hosted, () => {});
    return { hosted, next: header.position };
  }

  /** @throws PaxlogError MACHINE_STOPPED for a state of newer code, which this one cannot know how to load. */
  #hosted(source?: HostedSource): HostedMachine {
    const { machine, before } = this.#options;
    if (source !== undefined && source.version > machine.version) throw newerState(machine, source);
    return new HostedMachine(machine, source, before);
  }

  /** Of the own snapshots the newest one that can be read and does not lack what was trimmed. */
  #newest(head: number): RestoredState | undefined {
    const { machine, snapshots, note } = this.#options;
    for (const position of snapshots.list()) {
      if (position < head) return undefined;
      try {
        const { source } = snapshots.open(position);
        const hosted = this.#hosted(source);
        this.#kept = position;
        return { hosted, next: position };
      } catch (cause) {
        note(`the snapshot of the machine ${machine.name} at ${position} is left out: ${reasonOf(cause)}`);
      }
    }
    return undefined;
  }

  /** The state is to be compared, and is saved on that occasion. */
  point(hosted: HostedMachine): void {
    const { machine, onPoint } = this.#options;
    this.finish();
    hosted.beginPoint();
    const { position } = hosted;
    this.#save(hosted, ({ hash, length }) => {
      hosted.endPoint(length);
      this.#hashes.set(position, hash);
      if (this.#hashes.size > pointsMax) this.#hashes.delete(this.#hashes.keys().next().value!);
      onPoint({ machine: machine.name, version: machine.version, position, hash });
    });
  }

  /** Every record below `next` is applied. Saves the state where the log could not be trimmed otherwise. */
  passed(hosted: HostedMachine, next: number): void {
    if (hosted.isPristine || next - this.#kept < limits.machineSnapshotRecords) return;
    if (performance.now() < this.#restUntilMs) return;
    this.saveNow(hosted, next);
  }

  /** Unless a state is being saved. */
  saveNow(hosted: HostedMachine, next: number): void {
    if (this.#saving !== undefined || this.#keeping !== undefined) return;
    hosted.advance(next);
    this.#save(hosted, (_, spentMs) => {
      this.#restUntilMs = performance.now() + restFactor * spentMs;
    });
  }

  /** Resolves when what was saved is durable. */
  async settled(): Promise<void> {
    this.finish();
    await this.#keeping;
  }

  /** Saves the state of now as long as there is time; resolves when it is durable, or the time is over. */
  async saveWithin(hosted: HostedMachine, next: number, timeMs: number): Promise<void> {
    const end = performance.now() + timeMs;
    const leftMs = (): number => Math.max(0, end - performance.now());
    for (let isBegun = false; ; ) {
      await Promise.race([this.#keeping, sleep(leftMs(), undefined, { ref: false })]);
      if (leftMs() === 0) return;
      if (this.#saving === undefined && this.#keeping === undefined) {
        if (isBegun) return;
        this.saveNow(hosted, next);
        isBegun = true;
      }
      // One that takes its time goes on between turns.
      if (this.#saving !== undefined) await sleep(1);
    }
  }

  /** What is not saved yet is not wanted any more; resolves when what was is durable. */
  async close(): Promise<void> {
    this.#saving?.save.abandon();
    this.#saving = undefined;
    await this.#keeping;
  }

  /** Ends the save under way, if there is one, at once. */
  finish(): void {
    if (this.#saving !== undefined) this.#advance(this.#saving, Number.POSITIVE_INFINITY);
  }

  /** Begins to save the state of now. `onSaved` is told of all of it, however it is kept. */
  #save(hosted: HostedMachine, onSaved: Saving["onSaved"]): void {
    const { machine, hashing } = this.#options;
    const frozen = hosted.freeze();
    const failed = (cause: unknown): void => this.#noteFailed(frozen.position, cause);
    // One after the other: where the disk has not finished with the one before, this one is only hashed.
    const file = this.#keeping === undefined ? this.#file(machine.version, frozen.position, failed) : undefined;
    const save = new StateSave({ frozen, hashing, file, onFailed: failed });
    const saving = { hosted, save, onSaved };
    this.#saving = saving;
    hosted.settle = () => this.finish();
    if (frozen.lasts) void this.#goOn(saving);
    else this.finish();
  }

  #file(version: number, position: number, failed: (cause: unknown) => void): SnapshotFile | undefined {
    try {
      return this.#options.snapshots.begin(version, position);
    } catch (cause) {
      failed(cause);
      return undefined;
    }
  }

  /**
   * Saves between the turns of whatever else this thread does, for as long as that took, within bounds: commands and questions have half
   * of the thread, and wait for a moment at most.
   */
  async #goOn(saving: Saving): Promise<void> {
    for (let ended = performance.now(); ; ended = performance.now()) {
      await new Promise(setImmediate);
      if (this.#saving !== saving) return;
      const others = performance.now() - ended;
      try {
        this.#advance(saving, Math.min(limits.machineSaveMsMax, Math.max(limits.machineSaveMsMin, others)));
      } catch (cause) {
        this.#options.onBroken(cause);
        return;
      }
    }
  }

  #advance(saving: Saving, timeMs: number): void {
    const { hosted, save, onSaved } = saving;
    let saved: SavedState | undefined;
    try {
      saved = save.advance(timeMs);
    } catch (cause) {
      this.#saving = undefined;
      save.abandon();
      throw cause;
    }
    if (saved === undefined) return;
    this.#saving = undefined;
    if (saved.written !== undefined) this.#keep(hosted, save, saved.written);
    onSaved(saved.header, save.spentMs);
  }

  /** A state was written: from now on commands that throw lead back to it. */
  #keep(hosted: HostedMachine, { position, own }: StateSave, { source, keep }: WrittenSnapshot): void {
    hosted.rebase(source, own);
    this.#keeping = keep()
      .then(
        () => {
          if (this.#differs) this.#options.snapshots.removeAbove(0);
          else this.#kept = position;
        },
        (cause: unknown) => this.#noteFailed(position, cause),
      )
      .finally(() => {
        this.#keeping = undefined;
      });
  }

  #noteFailed(position: number, cause: unknown): void {
    const { machine, note } = this.#options;
    note(`the state of the machine ${machine.name} at ${position} could not be saved: ${reasonOf(cause)}`);
  }

  /** A record about the machine. Returns why it must not go on, if so. */
  told(type: string, position: number, value: () => Uint8Array): PaxlogError | undefined {
    if (type !== machineHashType) return undefined;
    const told = decodeMachineHash(value());
    const { name, version } = this.#options.machine;
    if (told.kind === "malformed" || told.value.machine !== name || told.value.position > position) return undefined;
    if (told.value.version !== version) return undefined;
    // The others were faster with this one.
    if (this.#saving?.save.position === told.value.position) this.finish();
    const own = this.#hashes.get(told.value.position);
    this.#hashes.delete(told.value.position);
    if (own === undefined || equalBytes(own, told.value.hash)) return undefined;
    // They came to differ behind the last state that was found to be alike: nothing since then can be trusted.
    this.#differs = true;
    this.#options.snapshots.removeAbove(0);
    this.#kept = 0;
    const message =
      `the state of ${name} at position ${told.value.position} is not that of the other nodes (the record at ${position} says so): ` +
      "it looked at something that is not the same everywhere, or memory failed; started again, the node makes the state anew";
    return new PaxlogError("MACHINE_DIFFERS", message, { facts: { machine: name, position: told.value.position } });
  }
}

function newerState({ name, version }: AnyMachine, source: HostedSource): PaxlogError {
  const message =
    `the state of ${name} at ${source.position} is of version ${source.version}, this node has version ${version}: ` +
    "start it with the code that the others have";
  return new PaxlogError("MACHINE_STOPPED", message, { facts: { machine: name } });
}

function noState(machine: string, head: number): PaxlogError {
  const message =
    `no state of ${machine} that can be read covers what was trimmed below ${head}, here or on another node: put back the directory ` +
    `machines/${machine} of a node, or remove it on all nodes to begin without what was trimmed`;
  return new PaxlogError("DAMAGED", message, { facts: { machine, head } });
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
