/**
 * Judges histories of transactions that append to lists and read them (Elle; Kingsbury and Alvaro, 2020). Every value is appended once,
 * so a list that was read says which transactions wrote it, and in which order: what must come before what follows from the answers alone,
 * and a cycle in that is an anomaly. What has no cycle, real time included, is strictly serializable.
 */
import { assert } from "../base/assert.ts";
import type { Result } from "./history.ts";
import { type CycleStep, TransactionGraph } from "./transaction-graph.ts";

/** A value stands for one append of one key, ever. */
export type ListOperation =
  | { readonly kind: "append"; readonly key: string; readonly value: number }
  | { readonly kind: "read"; readonly key: string };

export interface ListTransaction {
  readonly client: string;
  readonly operations: readonly ListOperation[];
  readonly invokedAt: number;
  /** The output has for each read, in order, the list as it was there. */
  readonly result: Result<readonly (readonly number[])[]>;
}

export type Anomaly =
  /** An answer that no execution gives: a value twice, one that nobody appended, own writes not seen, lists that are not each other's prefixes. */
  | { readonly kind: "impossible"; readonly reason: string }
  /** Read what was written by a transaction that did not take effect. */
  | { readonly kind: "G1a"; readonly reason: string }
  /** Read what a transaction wrote in the middle of its work. */
  | { readonly kind: "G1b"; readonly reason: string }
  /** Two transactions read the same version and wrote over it. */
  | { readonly kind: "lostUpdate"; readonly reason: string }
  | {
      /** Cycles of writes; of writes and reads; with one anti-dependency; with more of them. */
      readonly kind: "G0" | "G1c" | "G-single" | "G2";
      /** Real time is part of the cycle: serializable, but not strictly. */
      readonly realTime: boolean;
      readonly cycle: readonly CycleStep[];
    };

/** The first anomaly, of those that say most; undefined for a history that is strictly serializable. */
export function findAnomaly(history: readonly ListTransaction[]): Anomaly | undefined {
  const lists = new Lists(history);
  return lists.directAnomaly() ?? findCycle(lists.graph());
}

/** Weaker isolation first: what breaks it breaks all that is stronger. */
function findCycle(graph: TransactionGraph): Anomaly | undefined {
  for (const realTime of [false, true]) {
    const time = realTime ? (["rt"] as const) : [];
    const cycles = [
      ["G0", graph.cycle(["ww", ...time])],
      ["G1c", graph.cycle(["ww", "wr", ...time])],
      ["G-single", graph.cycle(["ww", "wr", ...time], "rw")],
      ["G2", graph.cycle(["ww", "wr", "rw", ...time])],
    ] as const;
    for (const [kind, cycle] of cycles) if (cycle !== undefined) return { kind, realTime, cycle };
  }
  return undefined;
}

export function describeAnomaly(anomaly: Anomaly, history: readonly ListTransaction[]): string {
  if (!("cycle" in anomaly)) return `${anomaly.kind}: ${anomaly.reason}`;
  const steps = anomaly.cycle.map(
    ({ transaction, kind }) => `${describeTransaction(history[transaction]!)}\n  ${kind} ->`,
  );
  return `${anomaly.kind}${anomaly.realTime ? " in real time" : ""}:\n${steps.join("\n")} the first`;
}

function describeTransaction({ client, operations, invokedAt, result }: ListTransaction): string {
  const seen = result.kind === "ok" ? [...result.output] : [];
  const parts = operations.map((operation) => {
    if (operation.kind === "append") return `append ${operation.key} ${operation.value}`;
    return `read ${operation.key} [${seen.shift()?.join(" ") ?? "?"}]`;
  });
  const end = result.kind === "ok" ? result.returnedAt : result.kind;
  return `${client} [${invokedAt}, ${end}]: ${parts.join(", ")}`;
}

interface Append {
  readonly transaction: number;
  /** Whether the same transaction appends to the same key later. */
  readonly isLast: boolean;
}

/** A list as a transaction found it, before anything of its own. */
interface FirstRead {
  readonly transaction: number;
  readonly key: string;
  readonly list: readonly number[];
}

class Lists {
  readonly #history: readonly ListTransaction[];
  /** By value. */
  readonly #appends = new Map<number, Append & { readonly key: string }>();
  readonly #valuesOf = new Map<string, number[]>();
  readonly #reads: FirstRead[] = [];
  /** Of which an append was read by somebody: they took effect, whatever their clients know. */
  readonly #seen = new Set<number>();
  /** By key: the longest list that anybody read. All others must be its prefixes. */
  readonly #longest = new Map<string, readonly number[]>();
  readonly #impossible: string | undefined;

  constructor(history: readonly ListTransaction[]) {
    this.#history = history;
    for (const [transaction, { operations }] of history.entries()) this.#noteAppends(transaction, operations);
    for (const [transaction] of history.entries()) this.#impossible ??= this.#noteReads(transaction);
    for (const { key, list } of this.#reads) {
      if (list.length > (this.#longest.get(key)?.length ?? -1)) this.#longest.set(key, list);
    }
    for (const list of this.#longest.values()) {
      for (const value of list) this.#seen.add(this.#appends.get(value)?.transaction ?? -1);
    }
  }

  #noteAppends(transaction: number, operations: readonly ListOperation[]): void {
    for (const [index, operation] of operations.entries()) {
      if (operation.kind !== "append") continue;
      const { key, value } = operation;
      assert(!this.#appends.has(value), () => `the value ${value} is appended twice`);
      const isLast = !operations.slice(index + 1).some((later) => later.kind === "append" && later.key === key);
      this.#appends.set(value, { transaction, key, isLast });
      const values = this.#valuesOf.get(key);
      if (values === undefined) this.#valuesOf.set(key, [value]);
      else values.push(value);
    }
  }

  /** What a transaction read of what others wrote; what of its own work it did not see is impossible. */
  #noteReads(transaction: number): string | undefined {
    const { operations, result } = this.#history[transaction]!;
    if (result.kind !== "ok") return undefined;
    const own = new Map<string, number[]>();
    const before = new Map<string, readonly number[]>();
    const outputs = result.output.values();
    for (const operation of operations) {
      const { key } = operation;
      const appended = own.get(key) ?? [];
      if (operation.kind === "append") {
        own.set(key, [...appended, operation.value]);
        continue;
      }
      const list = outputs.next().value ?? [];
      const found = list.slice(0, list.length - appended.length);
      const expected = before.get(key) ?? found;
      if (!sameList(list, [...expected, ...appended])) return `transaction ${transaction} does not see its own ${key}`;
      if (!before.has(key)) this.#reads.push({ transaction, key, list: found });
      before.set(key, found);
    }
    return undefined;
  }

  directAnomaly(): Anomaly | undefined {
    if (this.#impossible !== undefined) return { kind: "impossible", reason: this.#impossible };
    for (const read of this.#reads) {
      const anomaly = this.#anomalyOf(read);
      if (anomaly !== undefined) return anomaly;
    }
    return this.#lostUpdate();
  }

  #anomalyOf({ transaction, key, list }: FirstRead): Anomaly | undefined {
    const impossible = (reason: string): Anomaly => ({ kind: "impossible", reason });
    if (new Set(list).size < list.length) return impossible(`transaction ${transaction} read a value of ${key} twice`);
    for (const value of list) {
      const append = this.#appends.get(value);
      if (append?.key !== key) return impossible(`nobody appended ${value}, which was read of ${key}`);
      if (append.transaction === transaction)
        return impossible(`transaction ${transaction} read ${value} before its time`);
      if (this.#history[append.transaction]!.result.kind === "none") {
        return { kind: "G1a", reason: `transaction ${transaction} read ${value} of ${key}, which was not appended` };
      }
    }
    const longest = this.#longest.get(key)!;
    if (!sameList(list, longest.slice(0, list.length))) {
      return impossible(`${key} was read as [${list.join(" ")}] and as [${longest.join(" ")}]`);
    }
    if (list.length === 0 || this.#appends.get(list.at(-1)!)!.isLast) return undefined;
    const reason = `transaction ${transaction} read ${key} up to ${list.at(-1)}, behind which its writer appended more`;
    return { kind: "G1b", reason };
  }

  /** Only those that took effect: of the others nothing is lost. */
  #lostUpdate(): Anomaly | undefined {
    const writers = new Map<string, number>();
    for (const { transaction, key, list } of this.#reads) {
      const isWriter = this.#history[transaction]!.operations.some(
        (each) => each.kind === "append" && each.key === key,
      );
      if (!isWriter) continue;
      const version = `${key} ${list.at(-1) ?? "empty"}`;
      const other = writers.get(version);
      if (other !== undefined) {
        const reason = `transactions ${other} and ${transaction} read the same version of ${key} and wrote over it`;
        return { kind: "lostUpdate", reason };
      }
      writers.set(version, transaction);
    }
    return undefined;
  }

  graph(): TransactionGraph {
    const graph = new TransactionGraph(this.#history.length);
    for (const [key, list] of this.#longest) {
      let before: number | undefined;
      for (const value of list) {
        const { transaction } = this.#appends.get(value)!;
        if (before !== undefined) graph.add(before, transaction, "ww");
        before = transaction;
      }
      // Lists only grow: what took effect and is in no list that was read comes behind them all.
      for (const transaction of this.#unread(key, list)) {
        if (before !== undefined) graph.add(before, transaction, "ww");
        this.#addReaders(graph, key, list.length, transaction);
      }
      for (const [length, value] of list.entries()) {
        this.#addReaders(graph, key, length, this.#appends.get(value)!.transaction);
      }
    }
    for (const { transaction, list } of this.#reads) {
      if (list.length > 0) graph.add(this.#appends.get(list.at(-1)!)!.transaction, transaction, "wr");
    }
    graph.addRealTime(this.#history.map((each, index) => this.#timesOf(each, index)));
    return graph;
  }

  /** By key and length of the list: who read that version. */
  #readersOf: Map<string, number[]> | undefined;

  /** Whoever read the version of this length comes before the one that wrote behind it. */
  #addReaders(graph: TransactionGraph, key: string, length: number, writer: number): void {
    if (this.#readersOf === undefined) {
      this.#readersOf = new Map();
      for (const { transaction, key: of, list } of this.#reads) {
        const name = `${list.length} ${of}`;
        this.#readersOf.set(name, [...(this.#readersOf.get(name) ?? []), transaction]);
      }
    }
    for (const reader of this.#readersOf.get(`${length} ${key}`) ?? []) graph.add(reader, writer, "rw");
  }

  #unread(key: string, list: readonly number[]): Set<number> {
    const read = new Set(list);
    const unread = new Set<number>();
    for (const value of this.#valuesOf.get(key) ?? []) {
      const { transaction } = this.#appends.get(value)!;
      if (this.#history[transaction]!.result.kind === "ok" && !read.has(value)) unread.add(transaction);
    }
    return unread;
  }

  /** One that did not take effect, or that nobody knows to have, orders nothing in time. */
  #timesOf({ invokedAt, result }: ListTransaction, transaction: number): { invokedAt: number; returnedAt: number } {
    if (result.kind === "ok") return { invokedAt, returnedAt: result.returnedAt };
    return {
      invokedAt: this.#seen.has(transaction) ? invokedAt : Number.NEGATIVE_INFINITY,
      returnedAt: Number.POSITIVE_INFINITY,
    };
  }
}

const sameList = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((value, index) => value === b[index]);
