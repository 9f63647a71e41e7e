import { assert } from "../base/assert.ts";
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
import type { MachineSnapshots } from "./machine-snapshots.ts";
import { HashedPieces } from "./state-hash.ts";

export interface MachineKeeperOptions {
  readonly machine: AnyMachine;
  readonly snapshots: MachineSnapshots;
  readonly hashing: Hashing;
  readonly note: (text: string) => void;
  /** A state that nodes compare: told at the same commands on each of them. */
  readonly onPoint: (point: MachineHash) => void;
  /** Another node's state of at least this position; undefined: no other node has one, and none could. Keeps asking until it knows. */
  readonly fetch: (
    atLeast: number,
  ) => Promise<{ readonly header: SnapshotHeader; readonly source: HostedSource } | undefined>;
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
  async restore(head: number): Promise<{ readonly hosted: HostedMachine; readonly next: number }> {
    const { machine, snapshots } = this.#options;
    await snapshots.prepare();
    const own = this.#newest(head);
    if (own !== undefined) return own;
    this.#lacksState = head > 1;
    const fetched = head > 1 ? await this.#options.fetch(head) : undefined;
    this.#lacksState = false;
    if (fetched === undefined) {
      // A snapshot, also one that cannot be read, shows that there were commands. Without them a state would be made up.
      if (head > 1 && snapshots.list().length > 0) throw noState(machine.name, head);
      return { hosted: new HostedMachine(machine), next: head };
    }
    const hosted = new HostedMachine(machine, fetched.source);
    this.#save(hosted, fetched.header.position);
    return { hosted, next: fetched.header.position };
  }

  /** Of the own snapshots the newest one that can be read and does not lack what was trimmed. */
  #newest(head: number): { readonly hosted: HostedMachine; readonly next: number } | undefined {
    const { machine, snapshots, note } = this.#options;
    for (const position of snapshots.list()) {
      if (position < head) return undefined;
      try {
        const { source } = snapshots.open(position);
        const hosted = new HostedMachine(machine, source);
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
    const { machine, onPoint, hashing } = this.#options;
    const { position } = hosted;
    hosted.beginPoint();
    let header: Pick<SnapshotHeader, "hash" | "length"> | undefined = this.#save(hosted, position);
    if (header === undefined) {
      const hashed = new HashedPieces(hashing);
      for (const piece of hosted.save()) hashed.add(piece);
      header = { length: hashed.length, hash: hashed.hash() };
    }
    hosted.endPoint(header.length);
    this.#hashes.set(position, header.hash);
    if (this.#hashes.size > pointsMax) this.#hashes.delete(this.#hashes.keys().next().value!);
    onPoint({ machine: machine.name, version: machine.version, position, hash: header.hash });
  }

  /** Every record below `next` is applied. Saves the state where the log could not be trimmed otherwise. */
  passed(hosted: HostedMachine, next: number): void {
    if (hosted.isPristine || next - this.#kept < limits.machineSnapshotRecords) return;
    if (performance.now() < this.#restUntilMs) return;
    this.saveNow(hosted, next);
  }

  saveNow(hosted: HostedMachine, next: number): void {
    hosted.advance(next);
    const begun = performance.now();
    this.#save(hosted, next);
    this.#restUntilMs = performance.now() + restFactor * (performance.now() - begun);
  }

  /** Resolves when what was saved is durable. */
  settled(): Promise<void> {
    return this.#keeping ?? Promise.resolve();
  }

  /** undefined where the disk does not take it, or has not finished with the one before. */
  #save(hosted: HostedMachine, position: number): SnapshotHeader | undefined {
    const { machine, snapshots, note } = this.#options;
    if (this.#keeping !== undefined) return undefined;
    assert(hosted.position === position, "a state is saved where it is");
    const failed = (cause: unknown): void =>
      note(`the state of the machine ${machine.name} at ${position} could not be saved: ${reasonOf(cause)}`);
    try {
      const { header, source, keep } = snapshots.write(machine.version, position, hosted.save());
      hosted.rebase(source);
      this.#keeping = keep()
        .then(() => {
          if (this.#differs) snapshots.removeAbove(0);
          else this.#kept = position;
        }, failed)
        .finally(() => {
          this.#keeping = undefined;
        });
      return header;
    } catch (cause) {
      failed(cause);
      return undefined;
    }
  }

  /** A record about the machine. Returns why it must not go on, if so. */
  told(type: string, position: number, value: () => Uint8Array): PaxlogError | undefined {
    if (type !== machineHashType) return undefined;
    const told = decodeMachineHash(value());
    const { name, version } = this.#options.machine;
    if (told.kind === "malformed" || told.value.machine !== name || told.value.position > position) return undefined;
    if (told.value.version !== version) return undefined;
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

function noState(machine: string, head: number): PaxlogError {
  const message =
    `no state of ${machine} that can be read covers what was trimmed below ${head}, here or on another node: put back the directory ` +
    `machines/${machine} of a node, or remove it on all nodes to begin without what was trimmed`;
  return new PaxlogError("DAMAGED", message, { facts: { machine, head } });
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
