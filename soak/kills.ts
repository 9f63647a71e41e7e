import { existsSync, readdirSync, watch } from "node:fs";
import { join } from "node:path";
import { PaxlogError } from "#src/base/errors";
import { limits } from "#src/base/limits";
import type { LocalCluster, LocalNode } from "#src/cli/local-cluster";
import { connect } from "#src/client/connect";
import type { Log } from "#src/client/log";
import { loadHashing } from "#src/native/hashing";
import { Random } from "#src/simulator/random";
import { NodeDisk } from "#src/storage/node-disk";
import { verifyDirectory } from "#src/storage/verify";
import { BrokenPromise } from "./recorder.ts";
import { pause, type SoakContext, withCluster } from "./soak-cluster.ts";

export interface KillsPlan {
  readonly kills: number;
  /** The log is trimmed to about so many records. */
  readonly keepRecords: number;
  /** Of a record's value: some make a segment. */
  readonly valueBytes: number;
}

export interface KillsReport {
  readonly kills: number;
  /** Kills that came within a moment of a change in snapshots/, trash/ or log/. */
  readonly aimed: number;
  readonly appended: number;
  readonly head: number;
  readonly snapshots: number;
}

/** How many append at the same time. */
const writerCount = 4;

/** The text of record `number`: whoever reads it knows what it must be, to the last byte. */
const textOfRecord = (number: number, bytes: number): string => `${number} `.padEnd(bytes, String(number % 10));

/**
 * One node appends, snapshots and trims, and is killed (-9) again and again, most often in the moment in which files of a snapshot or of
 * a trim change their names. After each restart everything that was acknowledged and not trimmed is there, where it was, as it was; in
 * the end the directory is proved. Throws BrokenPromise where that is not so.
 */
export async function runKills(context: SoakContext, plan: KillsPlan): Promise<KillsReport> {
  const options = { segmentBytes: limits.segmentBytesMin };
  return await withCluster(
    { ...context, nodes: 1 },
    async (cluster) => await new KillsRun(context, plan, cluster).run(),
    options,
  );
}

class KillsRun {
  readonly #context: SoakContext;
  readonly #plan: KillsPlan;
  readonly #cluster: LocalCluster;
  readonly #node: LocalNode;
  readonly #random: Random;
  /** What was acknowledged, by position. */
  readonly #acknowledged = new Map<number, number>();
  /** The largest position that a trim was asked to keep. */
  #trimmedTo = 1;
  #next = 1;
  #aimed = 0;
  readonly #snapshots = new Set<string>();

  constructor(context: SoakContext, plan: KillsPlan, cluster: LocalCluster) {
    this.#context = context;
    this.#plan = plan;
    this.#cluster = cluster;
    this.#node = cluster.nodes[0]!;
    this.#random = new Random(context.seed);
  }

  async run(): Promise<KillsReport> {
    let head = 1;
    for (let kill = 1; kill <= this.#plan.kills; kill += 1) {
      const log = await connect([this.#node.clientAddress], { deadlineMs: 30_000 });
      let isDead = false;
      const writers = Array.from({ length: writerCount }, () => this.#append(log, () => isDead));
      const work = Promise.all(writers);
      // Seen below; until then it must not count as unhandled.
      work.catch(() => {});
      await this.#moment();
      await this.#cluster.kill(this.#node);
      isDead = true;
      await log.close();
      await work;
      await this.#cluster.start(this.#node);
      head = await this.#check();
      if (kill % 20 === 0) this.#context.note(`${kill} kills, ${this.#acknowledged.size} kept of ${this.#next - 1}`);
    }
    await this.#prove();
    const appended = this.#next - 1;
    return { kills: this.#plan.kills, aimed: this.#aimed, appended, head, snapshots: this.#snapshots.size };
  }

  /** One writer, until the node dies: records one after another, and trims behind them. */
  async #append(log: Log, isDead: () => boolean): Promise<void> {
    while (!isDead()) {
      const number = this.#next;
      this.#next += 1;
      try {
        const { position } = await log.append({ value: textOfRecord(number, this.#plan.valueBytes) });
        this.#acknowledged.set(position, number);
        if (number % 8 === 0 && position > this.#plan.keepRecords) {
          const to = position - this.#plan.keepRecords;
          this.#trimmedTo = Math.max(this.#trimmedTo, to);
          await log.trim(to);
        }
      } catch (error) {
        if (isDead()) return;
        // It was just killed, and whether this one landed is told by what is read. Nothing else may go wrong.
        if (!(error instanceof PaxlogError) || !error.retryable) throw error;
        await pause(20);
      }
    }
  }

  /** Most often: just when a file comes, goes or is renamed where snapshots, segments and trimmed segments lie. */
  async #moment(): Promise<void> {
    const longest = this.#random.between(300, 1800);
    if (this.#random.chance(0.25)) return await pause(longest);
    let seen: () => void = () => {};
    const change = new Promise<void>((resolve) => {
      seen = resolve;
    });
    let left = this.#random.between(1, 30);
    const directories = ["snapshots", "trash", "log"].map((name) => join(this.#node.dir, name)).filter(existsSync);
    const watchers = directories.map((directory) =>
      watch(directory, { recursive: false }, () => {
        left -= 1;
        if (left === 0) seen();
      }),
    );
    await Promise.race([change, pause(longest)]);
    if (left <= 0) this.#aimed += 1;
    for (const watcher of watchers) watcher.close();
    await pause(this.#random.between(0, 3));
  }

  /** Everything that is kept is read; what was acknowledged is where it was. Returns the head. */
  async #check(): Promise<number> {
    for (const name of readdirSync(join(this.#node.dir, "snapshots"))) this.#snapshots.add(name);
    const log = await connect([this.#node.clientAddress], { deadlineMs: 30_000 });
    try {
      const { head, tail } = await log.tail();
      if (head > this.#trimmedTo)
        throw new BrokenPromise(`the head is ${head}, and no trim went above ${this.#trimmedTo}`);
      let next = head;
      for await (const { position, value } of log.read({ from: "head", to: tail })) {
        if (position !== next) throw new BrokenPromise(`position ${position} came in the place of ${next}`);
        const text = Buffer.from(value).toString();
        const number = this.#acknowledged.get(position) ?? Number.parseInt(text, 10);
        if (text !== textOfRecord(number, this.#plan.valueBytes)) {
          throw new BrokenPromise(
            `position ${position} holds "${text.slice(0, 40)}", and ${number} was acknowledged there`,
          );
        }
        next += 1;
      }
      if (next !== tail) throw new BrokenPromise(`the log ends at ${next}, and its tail is ${tail}`);
      for (const position of this.#acknowledged.keys()) {
        if (position >= tail) throw new BrokenPromise(`${position} was acknowledged, and the tail is ${tail}`);
        if (position < head) this.#acknowledged.delete(position);
      }
      return head;
    } finally {
      await log.close();
    }
  }

  async #prove(): Promise<void> {
    await this.#cluster.kill(this.#node);
    const hashing = await loadHashing("auto");
    const faults: string[] = [];
    verifyDirectory({
      disk: new NodeDisk(),
      dir: this.#node.dir,
      hashing,
      onFault: ({ verdict, file, offset, text }) => {
        if (verdict === "damaged") faults.push(`${file} at ${offset}: ${text}`);
      },
    });
    if (faults.length > 0) throw new BrokenPromise(`the directory is damaged: ${faults.join("; ")}`);
    await this.#cluster.start(this.#node);
  }
}
