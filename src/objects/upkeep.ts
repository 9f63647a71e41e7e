import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
import { encodeBatch, type RecordInput } from "../format/batch-encode.ts";
import { activationRecord, type MachineHash, machineHashRecord } from "../format/machine-records.ts";
import type { LogBackend } from "../transport/backend.ts";
import type { MachineHost } from "./machine-host.ts";

export interface UpkeepOptions {
  readonly backend: LogBackend;
  readonly hashing: Hashing;
  readonly hosts: readonly MachineHost[];
  /** Names the hold that keeps what the machines need. */
  readonly holdName: string;
}

/** The same for every node: whichever leads moves the hold on. */
const holdOwner = "the machines of the nodes";
/** A hold that would move less than this stays where it is, unless it has to be renewed. */
const holdStepRecords = 16 * 1024;

/**
 * What the leader does for the machines of all nodes: it writes into the log what their states were, and keeps trims from what no
 * snapshot covers. A node that only believes that it leads is refused, which is all that happens then.
 */
export class Upkeep {
  readonly #options: UpkeepOptions;
  #leads = false;
  #heldFrom = 0;
  #heldUntilMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#look();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Writes down what a state was. */
  point(point: MachineHash): void {
    if (this.#leads) this.append([machineHashRecord(point)]);
  }

  /** Without an answer: what is refused was not for this node to write. */
  append(records: readonly RecordInput[]): void {
    const batch = encodeBatch(records);
    const crc32c = this.#options.hashing.crc32c(batch);
    this.#options.backend.append({ batch, crc32c, recordCount: records.length }, undefined, () => {});
  }

  get leads(): boolean {
    return this.#leads;
  }

  async #look(): Promise<void> {
    try {
      const { role, phase } = await this.#options.backend.status();
      this.#leads = role === "leader" && phase === "accept";
      if (this.#leads && !this.#closed) {
        this.#activate();
        await this.#hold();
      }
    } catch {
      // Not the leader any more, or the node ends: another one does it.
      this.#leads = false;
    }
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#look(), limits.upkeepMs);
    this.#timer.unref();
  }

  #activate(): void {
    const records = this.#options.hosts.flatMap((host) => host.activation ?? []).map(activationRecord);
    if (records.length > 0) this.append(records);
  }

  async #hold(): Promise<void> {
    const { backend, hosts, holdName } = this.#options;
    const needed = hosts.map((host) => host.neededFrom).filter((from) => from !== undefined);
    if (needed.length === 0) return;
    const { head, tail } = backend.bounds();
    const position = Math.min(tail, Math.max(head, Math.min(...needed)));
    const isDue = performance.now() >= this.#heldUntilMs;
    if (!isDue && position >= this.#heldFrom && position - this.#heldFrom < holdStepRecords) return;
    const ttlMs = limits.holdTtlMsDefault;
    await backend.retain({ kind: "putHold", name: holdName, owner: holdOwner, position: position as Position, ttlMs });
    this.#heldFrom = position;
    this.#heldUntilMs = performance.now() + ttlMs / 3;
  }
}
