import type { MachineCounts } from "../core/event.ts";
import type { Admission } from "../transport/object-backend.ts";

/**
 * Whether a machine is at a command, and since when, and which machines take none: in memory that other threads see, since the thread of
 * a machine that loops answers nobody. One thread writes, once it runs.
 */
export class BusyMark {
  readonly memory: SharedArrayBuffer;
  /** Since when, in milliseconds of 32 bits that pass over zero; the position in two halves; how many commands were begun or ended. */
  readonly #cells: Int32Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(cellCount * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#cells = new Int32Array(memory);
  }

  /** The thread runs, and answers. */
  start(): void {
    Atomics.store(this.#cells, cell.runs, 1);
  }

  /** Whether it ever did: who only wants to look must not start it. */
  get runs(): boolean {
    return Atomics.load(this.#cells, cell.runs) === 1;
  }

  /** Whether commands may be appended for a machine, by its place among the few of its thread. All take them to begin with. */
  admit(place: number, admission: Admission): void {
    const bits = Atomics.load(this.#cells, cell.admissions) & ~(0b11 << (2 * place));
    Atomics.store(this.#cells, cell.admissions, bits | (admissions.indexOf(admission) << (2 * place)));
  }

  admission(place: number): Admission {
    return admissions[(Atomics.load(this.#cells, cell.admissions) >>> (2 * place)) & 0b11] ?? "later";
  }

  /** Of all machines of the thread; see MachineCounts. */
  get counts(): MachineCounts {
    let [stopped, unready] = [0, 0];
    for (let place = 0; place < placesMax; place += 1) {
      const admission = this.admission(place);
      if (admission === "stopped") stopped += 1;
      if (admission !== "now") unready += 1;
    }
    return { stopped, unready };
  }

  begin(position: number): void {
    Atomics.store(this.#cells, cell.since, nowMs());
    Atomics.store(this.#cells, cell.positionHigh, Math.floor(position / 0x1_0000_0000));
    Atomics.store(this.#cells, cell.positionLow, position | 0);
    Atomics.add(this.#cells, cell.count, 1);
  }

  end(): void {
    Atomics.add(this.#cells, cell.count, 1);
  }

  /** For how long it has been at one command; 0: it is at none. */
  get busyMs(): number {
    const isBusy = Atomics.load(this.#cells, cell.count) % 2 !== 0;
    return isBusy ? Math.max(0, (nowMs() - Atomics.load(this.#cells, cell.since)) | 0) : 0;
  }

  /** Of the command that it is at, or was at last. */
  get position(): number {
    const high = Atomics.load(this.#cells, cell.positionHigh);
    return high * 0x1_0000_0000 + (Atomics.load(this.#cells, cell.positionLow) >>> 0);
  }
}

const admissions: readonly Admission[] = ["now", "later", "stopped"];
const cell = { count: 0, since: 1, positionHigh: 2, positionLow: 3, runs: 4, admissions: 5 } as const;
const cellCount = 6;
/** That have their two bits in a cell. */
const placesMax = 16;

/** The same on every thread of the process. */
const nowMs = (): number => ((performance.timeOrigin + performance.now()) % 0x1_0000_0000) | 0;
