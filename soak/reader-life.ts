import { PaxlogError } from "#src/base/errors";
import { connect } from "#src/client/connect";
import type { Log } from "#src/client/log";
import type { ReadNotice } from "#src/client/read-options";
import type { Random } from "#src/simulator/random";
import { type Ledger, tagOfNumber, writtenOf } from "./ledger.ts";
import { BrokenPromise } from "./recorder.ts";
import { pause } from "./soak-cluster.ts";

export interface ReaderOptions {
  readonly name: string;
  /** undefined: every record. */
  readonly tag: string | undefined;
  /** Of all nodes that serve reads. */
  readonly addresses: readonly string[];
  readonly ledger: Ledger;
  readonly random: Random;
  /** A hold keeps what it has not read: it is never overtaken by the head. */
  readonly holds: boolean;
}

/** A range that was read whole: every record in it that the reader wanted was delivered. */
interface Span {
  readonly begin: number;
  end: number;
  records: number;
}

/** Errors of a node that is down, pausing or behind: the same read goes on elsewhere or later. */
const passing: ReadonlySet<string> = new Set([
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "NOT_LEADER",
  "LEADER_LOST",
  "OVERLOADED",
  "CLOSED",
]);

/**
 * One reader's life: it follows, is slow at times, goes away, comes back to any node where it was, and now and then looks backward.
 * It throws BrokenPromise at the first record that is not the one that is due.
 */
export class ReaderLife {
  readonly #options: ReaderOptions;
  readonly #spans: Span[] = [];
  /** Where it goes on: everything below was delivered, or is not wanted. */
  next = 1;
  records = 0;
  reconnects = 0;
  /** How often the head passed it. */
  overtaken = 0;
  caughtUp = 0;
  fellBehind = 0;
  backward = 0;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#spans.push({ begin: 1, end: 1, records: 0 });
  }

  get name(): string {
    return this.#options.name;
  }

  /** Until `isOver`, and then on to the tail that it names. */
  async run(isOver: () => number | undefined): Promise<void> {
    const { random } = this.#options;
    for (;;) {
      const tail = isOver();
      if (tail !== undefined && this.next >= tail) return;
      const address = random.pick(this.#options.addresses);
      this.reconnects += 1;
      try {
        await this.#visit(address, tail);
      } catch (error) {
        if (error instanceof BrokenPromise) throw error;
        if (error instanceof PaxlogError && error.code === "POSITION_BELOW_HEAD") this.#passed(error);
        else if (!(error instanceof PaxlogError) || !passing.has(error.code)) throw error;
        else await pause(50);
      }
    }
  }

  /** Every record that it wanted, in all that it read, came once. */
  check(): void {
    const { tag, ledger, name } = this.#options;
    for (const { begin, end, records } of this.#spans) {
      let wanted = 0;
      for (let position = begin; position < end; position += 1) {
        const written = ledger.at(position);
        if (written !== undefined && (tag === undefined || tagOfNumber(written.number) === tag)) wanted += 1;
      }
      if (wanted !== records) {
        throw new BrokenPromise(`${name} got ${records} records from ${begin} to ${end}, where ${wanted} stand for it`);
      }
    }
  }

  async #visit(address: string, tail: number | undefined): Promise<void> {
    const { random, holds, name } = this.#options;
    const log = await connect(address, { deadlineMs: 3000, closeMs: 100 });
    try {
      if (holds)
        await log.hold(name, { position: Math.max(1, this.next), owner: name, ttlMs: 3_600_000 }).catch(passingOnly);
      if (random.chance(0.1)) await this.#lookBack(log);
      await this.#follow(log, tail);
    } finally {
      await log.close();
    }
  }

  async #follow(log: Log, tail: number | undefined): Promise<void> {
    const { random, tag } = this.#options;
    const ended = new AbortController();
    const timer = setTimeout(() => ended.abort(), tail === undefined ? random.between(200, 4000) : 5000);
    const slow = random.chance(0.3);
    const read = log.read({
      from: this.next,
      follow: true,
      freshness: random.pick(["linearizable", "local"] as const),
      signal: ended.signal,
      onNotice: (notice) => {
        this.#onNotice(notice);
        if (tail !== undefined && this.next >= tail) ended.abort();
      },
      ...(tag === undefined ? {} : { query: { tags: [tag] } }),
    });
    try {
      for await (const { position, value, tags } of read) {
        this.#take(position, value, tags);
        if (tail !== undefined && this.next >= tail) return;
        if (slow && random.chance(0.02)) await pause(random.between(1, 100));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #take(position: number, value: Uint8Array, tags: readonly string[]): void {
    const { name, tag, ledger } = this.#options;
    if (tag === undefined ? position !== this.next : position < this.next) {
      throw new BrokenPromise(`${name} got position ${position}, where ${this.next} was due`);
    }
    const written = writtenOf(value, tags, position);
    if (tag !== undefined && tags[0] !== tag)
      throw new BrokenPromise(`${name} got a record of ${tags[0]} at ${position}`);
    ledger.note(position, written, name);
    this.records += 1;
    this.#spans[this.#spans.length - 1]!.records += 1;
    this.#moveTo(position + 1);
  }

  /** `next` of a notice says how far the log was looked through: nothing that matches lies in front of it. */
  #onNotice(notice: ReadNotice): void {
    if (notice.kind === "caughtUp") this.caughtUp += 1;
    if (notice.kind === "fellBehind") this.fellBehind += 1;
    if (notice.kind === "begun") return;
    const { tag, name } = this.#options;
    if (notice.next < this.next || (tag === undefined && notice.next > this.next)) {
      throw new BrokenPromise(
        `${name} has everything below ${this.next}, and is told that it goes on at ${notice.next}`,
      );
    }
    this.#moveTo(notice.next);
  }

  #moveTo(next: number): void {
    this.next = next;
    this.#spans[this.#spans.length - 1]!.end = next;
  }

  /** The head is above what it wanted next: it begins anew there, and must have been told where. */
  #passed(error: PaxlogError): void {
    const head = error.facts.head;
    const { name, holds } = this.#options;
    if (typeof head !== "number" || head <= this.next) {
      throw new BrokenPromise(`${name} at ${this.next} was told of the head ${String(head)}`);
    }
    if (holds) throw new BrokenPromise(`${name} holds ${this.next}, and the head is ${head}`);
    this.overtaken += 1;
    this.#spans.push({ begin: head, end: head, records: 0 });
    this.next = head;
  }

  /** The newest records backward: each directly in front of the one before. */
  async #lookBack(log: Log): Promise<void> {
    const { ledger, name } = this.#options;
    let last: number | undefined;
    for await (const { position, value, tags } of log.read({ direction: "backward", limit: 40 })) {
      if (last !== undefined && position !== last - 1) {
        throw new BrokenPromise(`${name} read backward from ${last} to ${position}`);
      }
      ledger.note(position, writtenOf(value, tags, position), name);
      last = position;
      this.backward += 1;
    }
  }
}

function passingOnly(error: unknown): void {
  if (!(error instanceof PaxlogError) || !(passing.has(error.code) || error.code === "POSITION_BELOW_HEAD"))
    throw error;
}
