import { rmSync } from "node:fs";
import { limits } from "#src/base/limits";
import type { LocalCluster, LocalNode } from "#src/cli/local-cluster";
import { connect } from "#src/client/connect";
import type { Log } from "#src/client/log";
import { loadHashing } from "#src/native/hashing";
import { Random } from "#src/simulator/random";
import { NodeDisk } from "#src/storage/node-disk";
import { type Verification, verifyDirectory } from "#src/storage/verify";
import { Ledger, tagCount, tagOfNumber, textOf, writtenOf } from "./ledger.ts";
import { Nemesis, type NemesisPlan } from "./nemesis.ts";
import { ReaderLife } from "./reader-life.ts";
import { BrokenPromise } from "./recorder.ts";
import { pause, type SoakContext, withCluster } from "./soak-cluster.ts";

export interface ReadersPlan extends NemesisPlan {
  readonly seconds: number;
  readonly readers: number;
  readonly writers: number;
  readonly nonvoters: number;
  /** Records a second that each writer tries to append. */
  readonly rate: number;
  /** The log is trimmed to about so many records, on average so often. */
  readonly keepRecords: number;
  readonly trimMs: number;
}

export interface ReadersReport {
  readonly appended: number;
  readonly delivered: number;
  readonly reconnects: number;
  readonly overtaken: number;
  readonly caughtUp: number;
  readonly fellBehind: number;
  readonly readBackward: number;
  readonly head: number;
  readonly trims: number;
  readonly strikes: Readonly<Record<string, number>>;
  readonly nonvoterKills: number;
}

/**
 * Writers append through sessions while nodes are killed and paused, the log is trimmed and readers of every kind come, go and come
 * back. In the end every reader has, from where it began, each record once, in order, with the bytes that were written; and the
 * directories of all nodes are proved, to one and the same log. Throws BrokenPromise where that is not so.
 */
export async function runReaders(context: SoakContext, plan: ReadersPlan): Promise<ReadersReport> {
  const options = { nonvoters: plan.nonvoters, segmentBytes: limits.segmentBytesMin };
  return await withCluster(context, async (cluster) => await new ReadersRun(context, plan, cluster).run(), options);
}

class ReadersRun {
  readonly #context: SoakContext;
  readonly #plan: ReadersPlan;
  readonly #cluster: LocalCluster;
  readonly #random: Random;
  readonly #ledger = new Ledger();
  readonly #readers: ReaderLife[];
  #isEnding = false;
  /** What every reader must reach once the writers are done. */
  #finalTail: number | undefined;
  #trims = 0;
  #nonvoterKills = 0;

  constructor(context: SoakContext, plan: ReadersPlan, cluster: LocalCluster) {
    this.#context = context;
    this.#plan = plan;
    this.#cluster = cluster;
    this.#random = new Random(context.seed);
    const addresses = [...cluster.nodes, ...cluster.nonvoters].map((node) => node.clientAddress);
    this.#readers = Array.from({ length: plan.readers }, (_, index) => {
      // One holds what it has not read; every second one reads a tag.
      const tag = index % 2 === 1 ? tagOfNumber(index % tagCount) : undefined;
      const name = `reader ${index + 1}`;
      return new ReaderLife({
        name,
        tag,
        addresses,
        ledger: this.#ledger,
        random: this.#random.fork(),
        holds: index === 0,
      });
    });
  }

  async run(): Promise<ReadersReport> {
    const { note } = this.#context;
    const nemesis = new Nemesis({ cluster: this.#cluster, random: this.#random.fork(), plan: this.#plan, note });
    nemesis.start();
    const readers = Promise.all(this.#readers.map((reader) => reader.run(() => this.#finalTail)));
    // Seen below; until then it must not count as unhandled.
    readers.catch(() => {});
    const beside = [this.#trim(), ...this.#cluster.nonvoters.map((node) => this.#strikeNonvoter(node))];
    const writers = Array.from({ length: this.#plan.writers }, (_, index) => this.#write(index));
    try {
      await Promise.race([Promise.all(writers), readers]);
      await Promise.all(writers);
    } finally {
      this.#isEnding = true;
      await nemesis.stop();
      await Promise.all(beside);
    }
    this.#finalTail = this.#ledger.end;
    note(`${this.#ledger.end - 1} records; the readers come to the end`);
    await within(readers, 120_000, "the readers come to the end");
    this.#ledger.checkOrder();
    for (const reader of this.#readers) reader.check();
    const head = await this.#readEverywhere();
    await this.#verify();
    return this.#report(nemesis.counts, head);
  }

  #report(strikes: Readonly<Record<string, number>>, head: number): ReadersReport {
    const sum = (of: (reader: ReaderLife) => number) => this.#readers.reduce((total, reader) => total + of(reader), 0);
    return {
      appended: this.#ledger.end - 1,
      delivered: sum(({ records }) => records),
      reconnects: sum(({ reconnects }) => reconnects),
      overtaken: sum(({ overtaken }) => overtaken),
      caughtUp: sum(({ caughtUp }) => caughtUp),
      fellBehind: sum(({ fellBehind }) => fellBehind),
      readBackward: sum(({ backward }) => backward),
      head,
      trims: this.#trims,
      strikes,
      nonvoterKills: this.#nonvoterKills,
    };
  }

  /** A session's appends land once each, whoever is killed: so every acknowledgement says where a record stands for ever. */
  async #write(writer: number): Promise<void> {
    const random = this.#random.fork();
    const log = await connect(this.#cluster.clientAddresses, { deadlineMs: 60_000 });
    try {
      const session = await log.session({ ttlMs: 600_000 });
      const endAt = performance.now() + this.#plan.seconds * 1000;
      const under: Promise<void>[] = [];
      for (let number = 0; performance.now() < endAt; ) {
        const count = random.pick([1, 1, 2, 5, 20]);
        const batch = Array.from({ length: count }, (_, index) => ({ writer, number: number + index }));
        number += count;
        const records = batch.map((written) => ({ value: textOf(written), tags: [tagOfNumber(written.number)] }));
        const done = session.append(records).then(({ first }) => {
          batch.forEach((written, index) => {
            this.#ledger.note(first + index, written, `writer ${writer}`);
          });
        });
        under.push(done);
        if (under.length >= 64) await Promise.all(under.splice(0));
        await pause((1000 * count) / this.#plan.rate);
      }
      await Promise.all(under);
    } finally {
      await log.close();
    }
  }

  /** Readers that are slow, or away for long, are passed by the head; the one with a hold is not. */
  async #trim(): Promise<void> {
    const { trimMs, keepRecords } = this.#plan;
    const random = this.#random.fork();
    const log = await connect(this.#cluster.clientAddresses, { deadlineMs: 20_000 });
    try {
      while (!this.#isEnding) {
        await pause(random.exponential(trimMs));
        if (this.#isEnding) return;
        try {
          const { tail } = await log.tail();
          await log.trim(Math.max(1, tail - random.below(2 * keepRecords)));
          this.#trims += 1;
        } catch (error) {
          this.#context.note(`no trim: ${String(error)}`);
        }
      }
    } finally {
      await log.close();
    }
  }

  async #strikeNonvoter(node: LocalNode): Promise<void> {
    const { calmMs, outageMs } = this.#plan;
    const random = this.#random.fork();
    while (!this.#isEnding) {
      await pause(random.exponential(2 * calmMs));
      if (this.#isEnding) return;
      await this.#cluster.kill(node);
      this.#nonvoterKills += 1;
      await pause(random.between(0, 2 * outageMs));
      // A nonvoter's directory is nobody's loss: an empty one is filled again, from a snapshot where the log is trimmed.
      if (random.chance(0.4)) rmSync(node.dir, { recursive: true, force: true });
      await this.#cluster.start(node);
    }
  }

  /** Every node, the nonvoters too, shows the whole log from the head to the end. Returns the head. */
  async #readEverywhere(): Promise<number> {
    let head = 1;
    for (const { clientAddress, id } of [...this.#cluster.nodes, ...this.#cluster.nonvoters]) {
      const log = await connect(clientAddress);
      try {
        const bounds = await log.tail();
        head = bounds.head;
        if (bounds.tail !== this.#ledger.end)
          throw new BrokenPromise(`${id} ends at ${bounds.tail}, not ${this.#ledger.end}`);
        await this.#readAll(log, id, head);
      } finally {
        await log.close();
      }
    }
    return head;
  }

  async #readAll(log: Log, id: string, head: number): Promise<void> {
    let next = head;
    for await (const { position, value, tags } of log.read({ from: head })) {
      if (position !== next) throw new BrokenPromise(`${id} shows position ${position}, where ${next} is due`);
      this.#ledger.note(position, writtenOf(value, tags, position), id);
      next += 1;
    }
    if (next !== this.#ledger.end)
      throw new BrokenPromise(`${id} shows everything below ${next}, not ${this.#ledger.end}`);
  }

  /** Proves every node's directory, and that all of them end in one chain. */
  async #verify(): Promise<void> {
    const hashing = await loadHashing("auto");
    const everyNode = [...this.#cluster.nodes, ...this.#cluster.nonvoters];
    await this.#cluster.stop();
    const ends = new Map<string, string>();
    for (const { id, dir } of everyNode) {
      const faults: string[] = [];
      const result: Verification = verifyDirectory({
        disk: new NodeDisk(),
        dir,
        hashing,
        onFault: ({ file, offset, verdict, text }) => {
          if (verdict !== "torn") faults.push(`${file} @ ${offset}: ${text}`);
        },
      });
      if (faults.length > 0) throw new BrokenPromise(`the directory of ${id} is not sound: ${faults.join("; ")}`);
      const { end } = result;
      const other = [...ends].find(([slot, hash]) => slot === String(end?.slot) && hash !== end?.hash);
      if (other !== undefined) throw new BrokenPromise(`${id} has another log than the others below slot ${other[0]}`);
      if (end !== undefined) ends.set(String(end.slot), end.hash);
    }
  }
}

async function within<T>(work: Promise<T>, milliseconds: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new BrokenPromise(`${what}: not within ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
