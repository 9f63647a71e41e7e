import type { Log } from "#src/client/log";
import { type LatencyMs, latencyOf, newHistogram, recordMs } from "../lib/latency.ts";
import { nowUs, recordHead, tagOf } from "./messages.ts";

/** Appends of several records, each record with the tag of one of the followers, round and round. */
export class TaggedLoad {
  readonly #log: Log;
  readonly #tags: number;
  readonly #recordsPerAppend: number;
  readonly #recordBytes: number;
  #number = 0;

  constructor(log: Log, tags: number, recordsPerAppend: number, recordBytes: number) {
    this.#log = log;
    this.#tags = tags;
    this.#recordsPerAppend = recordsPerAppend;
    this.#recordBytes = recordBytes;
  }

  /** Records appended so far. */
  get count(): number {
    return this.#number;
  }

  /** How many of them have this tag. */
  countOf(tag: number): number {
    return Math.floor(this.#number / this.#tags) + (tag < this.#number % this.#tags ? 1 : 0);
  }

  /** As much as is answered and delivered, with so many appends under way: `room` resolves when readers are near enough for another. */
  async saturate(durationMs: number, inFlight: number, room: () => Promise<void>): Promise<void> {
    const begin = performance.now();
    const lane = async () => {
      while (performance.now() - begin < durationMs) {
        await room();
        await this.#append(nowUs());
      }
    };
    await Promise.all(Array.from({ length: inFlight }, lane));
  }

  /** At a fixed rate of records; latencies count from when an append was due. */
  async pace(rate: number, durationMs: number): Promise<{ readonly records: number; readonly answerMs: LatencyMs }> {
    const answers = newHistogram();
    const appends = Math.ceil((rate * durationMs) / 1000 / this.#recordsPerAppend);
    const gapUs = (1e6 * this.#recordsPerAppend) / rate;
    const beginUs = nowUs() + 10_000;
    const under: Promise<void>[] = [];
    const before = this.#number;
    for (let index = 0; index < appends; index += 1) {
      const dueUs = beginUs + index * gapUs;
      const waitMs = (dueUs - nowUs()) / 1000;
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      under.push(this.#append(dueUs).then(() => recordMs(answers, (nowUs() - dueUs) / 1000)));
    }
    await Promise.all(under);
    return { records: this.#number - before, answerMs: latencyOf(answers) };
  }

  async #append(dueUs: number): Promise<void> {
    const records = Array.from({ length: this.#recordsPerAppend }, () => {
      const number = this.#number;
      this.#number += 1;
      const tag = number % this.#tags;
      const value = Buffer.alloc(this.#recordBytes, number);
      value.writeDoubleLE(dueUs, recordHead.dueUs);
      value.writeUInt32LE(tag, recordHead.tag);
      value.writeUInt32LE(Math.floor(number / this.#tags), recordHead.numberInTag);
      value.writeUInt32LE(number, recordHead.number);
      return { value, tags: [tagOf(tag)] };
    });
    await this.#log.append(records);
  }
}
