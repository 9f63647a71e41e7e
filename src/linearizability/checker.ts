/**
 * Whether a history could have been made by one copy of the object that does one thing at a time, each somewhere between its
 * invocation and its return.
 *
 * The search is Wing and Gong's (Testing and verifying concurrent objects, 1993) with Lowe's cache (Testing for linearizability,
 * 2017): linearize a pending operation, go on, go back where nothing fits, and never explore one set of linearized operations in
 * one state twice. An operation that fits and changes nothing is taken at once, with no other way tried: wherever it stands in an
 * order that exists, it can stand here too. Operations without an outcome are tried after those with one and may be left out.
 * Partitions are checked one by one. A search that hits a limit gives no verdict, which its users count as a failure.
 */
import { assert } from "../base/assert.ts";
import type { Model, Operation } from "./history.ts";
import { LinearizedSet } from "./linearized-set.ts";

export interface CheckLimits {
  /** For the whole history. */
  readonly timeMs: number;
  /** Pairs of linearized set and state that are remembered, of one partition; about 100 bytes each. */
  readonly configurations: number;
  /** Milliseconds of a clock that does not jump. */
  readonly now: () => number;
}

/** Remembering more would take memory that a process does not have. */
const configurationsMax = 8_000_000;

export type Verdict<State, Input, Output> =
  | { readonly kind: "linearizable"; readonly configurations: number }
  | { readonly kind: "notLinearizable"; readonly partition: string; readonly evidence: Evidence<State, Input, Output> }
  | {
      readonly kind: "undecided";
      readonly reason: "time" | "configurations";
      readonly partition: string;
      readonly evidence: Evidence<State, Input, Output>;
    };

/** How far the search came: the longest order of operations that fits, and what could not be put behind it. */
export interface Evidence<State, Input, Output> {
  readonly order: readonly Operation<Input, Output>[];
  readonly state: State;
  /** Pending at that point, with an output: one of them had to be next. */
  readonly stuck: readonly Operation<Input, Output>[];
}

/** Checks a history: all operations on the object since its initial state. Their order in the array does not matter. */
export function checkLinearizable<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  limits: Partial<CheckLimits> = {},
): Verdict<State, Input, Output> {
  const { timeMs = 60_000, configurations = configurationsMax, now = () => performance.now() } = limits;
  const endMs = now() + timeMs;
  let explored = 0;
  for (const [partition, operations] of partitionsOf(model, history)) {
    const search = new Search(model, operations);
    const end = search.run({ configurations, isLate: () => now() > endMs });
    explored += search.configurations;
    if (end === "found") continue;
    const { evidence } = search;
    if (end === "exhausted") return { kind: "notLinearizable", partition, evidence };
    return { kind: "undecided", reason: end, partition, evidence };
  }
  return { kind: "linearizable", configurations: explored };
}

function partitionsOf<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
): Map<string, Operation<Input, Output>[]> {
  const partitions = new Map<string, Operation<Input, Output>[]>();
  for (const operation of history) {
    if (operation.result.kind === "none") continue;
    const name = model.partitionOf?.(operation.input) ?? "";
    const operations = partitions.get(name);
    if (operations === undefined) partitions.set(name, [operation]);
    else operations.push(operation);
  }
  return partitions;
}

/** A point in time of an operation, in a list from which linearized operations are taken out and put back in (dancing links). */
interface Point<Input, Output> {
  readonly kind: "invocation" | "return" | "head" | "end";
  readonly at: number;
  readonly candidate: Candidate<Input, Output> | undefined;
  next: Point<Input, Output>;
  previous: Point<Input, Output>;
}

interface Candidate<Input, Output> {
  readonly operation: Operation<Input, Output>;
  /** Undefined where nobody saw it. */
  readonly output: Output | undefined;
  /** In any state. */
  readonly onlyLooks: boolean;
  /** Among those with an output, or among those without: by invocation. */
  readonly index: number;
  readonly invocation: Point<Input, Output>;
  /** Undefined for one without an output: it never has to be linearized. */
  readonly returned: Point<Input, Output> | undefined;
  /** Of those without an output: the one before it that does the same. It goes first, since it was invoked first. */
  readonly twin: Candidate<Input, Output> | undefined;
}

/** A linearized operation, and through `before` all before it. */
interface Step<State, Input, Output> {
  readonly candidate: Candidate<Input, Output>;
  readonly stateBefore: State;
  readonly before: Step<State, Input, Output> | undefined;
  readonly length: number;
  /** It only looks: there is no other way to try. */
  readonly isForced: boolean;
}

interface SearchLimits {
  readonly configurations: number;
  readonly isLate: () => boolean;
}

/** Reading a clock at every step would be most of the work. */
const stepsBetweenLooks = 1024;

class Search<State, Input, Output> {
  readonly #model: Model<State, Input, Output>;
  /** Invocations and returns of the operations that have an output, and the invocations of those that have none. */
  readonly #seen = emptyList<Input, Output>();
  readonly #unseen = emptyList<Input, Output>();
  readonly #seenLinearized: LinearizedSet;
  readonly #unseenLinearized: LinearizedSet;
  readonly #explored = new Set<string>();
  #remaining: number;
  #state: State;
  #last: Step<State, Input, Output> | undefined;
  #longest: Step<State, Input, Output> | undefined;
  #longestState: State;

  constructor(model: Model<State, Input, Output>, operations: readonly Operation<Input, Output>[]) {
    this.#model = model;
    this.#state = model.initial;
    this.#longestState = model.initial;
    const byInvocation = operations.toSorted((one, other) => one.invokedAt - other.invokedAt);
    const seen = byInvocation.filter((operation) => operation.result.kind === "ok");
    const unseen = byInvocation.filter((operation) => operation.result.kind === "unknown");
    this.#remaining = seen.length;
    this.#seenLinearized = new LinearizedSet(seen.length);
    this.#unseenLinearized = new LinearizedSet(unseen.length);
    const candidates = seen.map((operation, index) => seenCandidate(model, operation, index));
    link(this.#seen, candidates.flatMap(pointsOf).sort(compareTimes));
    const twins = new Map<string, Candidate<Input, Output>>();
    link(
      this.#unseen,
      unseen.map((operation, index) => {
        const key = model.inputKey?.(operation.input) ?? `#${index}`;
        const candidate = makeCandidate(operation, index, { twin: twins.get(key) });
        twins.set(key, candidate);
        return candidate.invocation;
      }),
    );
  }

  get configurations(): number {
    return this.#explored.size;
  }

  run(limits: SearchLimits): "found" | "exhausted" | "time" | "configurations" {
    let point = this.#first();
    for (let steps = 1; this.#remaining > 0; steps += 1) {
      if (steps % stepsBetweenLooks === 0 && limits.isLate()) return "time";
      if (this.#explored.size > limits.configurations) return "configurations";
      if (point !== undefined && this.#linearize(point.candidate!)) {
        point = this.#first();
        continue;
      }
      const from = point ?? this.#goBackToChoice();
      if (from === undefined) return "exhausted";
      point = this.#after(from);
    }
    return "found";
  }

  /**
   * What may be linearized next, one after another: first what has an output, then the rest. Nothing where an operation that
   * only looks was taken, and led to a place that was explored before.
   */
  #first(): Point<Input, Output> | undefined {
    for (let point = this.#seen.next; point.kind === "invocation"; ) {
      const { operation, output, onlyLooks } = point.candidate!;
      if (!onlyLooks || this.#model.step(this.#state, operation.input, output) === undefined) {
        point = point.next;
        continue;
      }
      if (!this.#take(point.candidate!, this.#state, true)) return undefined;
      point = this.#seen.next;
    }
    return this.#remaining === 0 ? undefined : this.#after(this.#seen);
  }

  #after(point: Point<Input, Output>): Point<Input, Output> | undefined {
    const { next } = point;
    if (next.kind === "return") return this.#unseenBefore(this.#unseen.next, next.at);
    const isUnseen = point.candidate !== undefined && point.candidate.returned === undefined;
    return isUnseen ? this.#unseenBefore(next, this.#firstReturnAt()) : next;
  }

  /** An operation is pending until another returns that was not linearized yet. */
  #unseenBefore(from: Point<Input, Output>, at: number): Point<Input, Output> | undefined {
    for (let point = from; point.kind !== "end" && point.at <= at; point = point.next) {
      const twin = point.candidate!.twin;
      if (twin === undefined || this.#unseenLinearized.has(twin.index)) return point;
    }
    return undefined;
  }

  #firstReturnAt(): number {
    let point = this.#seen.next;
    while (point.kind === "invocation") point = point.next;
    return point.at;
  }

  /** Takes the operation as the next one, unless it does not fit or what follows was explored before. */
  #linearize(candidate: Candidate<Input, Output>): boolean {
    const state = this.#model.step(this.#state, candidate.operation.input, candidate.output);
    if (state === undefined) return false;
    // Whether something that changes nothing and that nobody saw has happened makes no difference.
    const isIdle = candidate.returned === undefined && state === this.#state;
    return !isIdle && this.#take(candidate, state, false);
  }

  #take(candidate: Candidate<Input, Output>, state: State, isForced: boolean): boolean {
    const set = candidate.returned === undefined ? this.#unseenLinearized : this.#seenLinearized;
    set.add(candidate.index);
    const key = `${this.#seenLinearized.key}/${this.#unseenLinearized.key}/${this.#model.stateKey(state)}`;
    if (this.#explored.has(key)) {
      set.delete(candidate.index);
      return false;
    }
    this.#explored.add(key);
    const length = (this.#last?.length ?? 0) + 1;
    this.#last = { candidate, stateBefore: this.#state, before: this.#last, length, isForced };
    this.#state = state;
    takeOut(candidate.invocation);
    if (candidate.returned !== undefined) {
      takeOut(candidate.returned);
      this.#remaining -= 1;
    }
    return true;
  }

  /** Undoes what was linearized last, back to where there was a choice; undefined where there was none. */
  #goBackToChoice(): Point<Input, Output> | undefined {
    this.#remember();
    for (;;) {
      const isForced = this.#last?.isForced;
      const point = this.#goBack();
      if (isForced !== true) return point;
    }
  }

  /** Undoes the operation linearized last. */
  #goBack(): Point<Input, Output> | undefined {
    const last = this.#last;
    if (last === undefined) return undefined;
    const { candidate } = last;
    if (candidate.returned !== undefined) {
      putBack(candidate.returned);
      this.#remaining += 1;
    }
    putBack(candidate.invocation);
    (candidate.returned === undefined ? this.#unseenLinearized : this.#seenLinearized).delete(candidate.index);
    this.#state = last.stateBefore;
    this.#last = last.before;
    return candidate.invocation;
  }

  #remember(): void {
    if ((this.#last?.length ?? 0) <= (this.#longest?.length ?? 0)) return;
    this.#longest = this.#last;
    this.#longestState = this.#state;
  }

  get evidence(): Evidence<State, Input, Output> {
    this.#remember();
    const state = this.#longestState;
    const order: Operation<Input, Output>[] = [];
    for (let step = this.#longest; step !== undefined; step = step.before) order.push(step.candidate.operation);
    order.reverse();
    while (this.#goBack() !== undefined);
    const taken = new Set(order);
    const stuck: Operation<Input, Output>[] = [];
    for (let point = this.#seen.next; point.kind !== "end"; point = point.next) {
      const { operation } = point.candidate!;
      if (taken.has(operation)) continue;
      if (point.kind === "return") break;
      stuck.push(operation);
    }
    return { order, state, stuck };
  }
}

function seenCandidate<State, Input, Output>(
  model: Model<State, Input, Output>,
  operation: Operation<Input, Output>,
  index: number,
): Candidate<Input, Output> {
  assert(operation.result.kind === "ok", "an operation with an output");
  const { output, returnedAt } = operation.result;
  assert(returnedAt >= operation.invokedAt, () => `${operation.client} got an answer before it asked`);
  const onlyLooks = model.onlyLooks?.(operation.input, output) ?? false;
  return makeCandidate(operation, index, { returned: { output, at: returnedAt }, onlyLooks });
}

function makeCandidate<Input, Output>(
  operation: Operation<Input, Output>,
  index: number,
  options: {
    readonly returned?: { readonly output: Output; readonly at: number };
    readonly onlyLooks?: boolean;
    readonly twin?: Candidate<Input, Output> | undefined;
  },
): Candidate<Input, Output> {
  const { returned, onlyLooks = false, twin } = options;
  const candidate: { -readonly [Name in keyof Candidate<Input, Output>]: Candidate<Input, Output>[Name] } = {
    operation,
    index,
    output: returned?.output,
    onlyLooks,
    invocation: undefined as never,
    returned: undefined,
    twin,
  };
  candidate.invocation = makePoint("invocation", operation.invokedAt, candidate);
  if (returned !== undefined) candidate.returned = makePoint("return", returned.at, candidate);
  return candidate;
}

function makePoint<Input, Output>(
  kind: Point<Input, Output>["kind"],
  at: number,
  candidate: Candidate<Input, Output> | undefined,
): Point<Input, Output> {
  const point = { kind, at, candidate, next: undefined as never, previous: undefined as never } as Point<Input, Output>;
  point.next = point;
  point.previous = point;
  return point;
}

function pointsOf<Input, Output>({ invocation, returned }: Candidate<Input, Output>): Point<Input, Output>[] {
  return returned === undefined ? [invocation] : [invocation, returned];
}

/** At one time invocations go first: those operations overlap. */
function compareTimes<Input, Output>(one: Point<Input, Output>, other: Point<Input, Output>): number {
  return one.at - other.at || Number(one.kind === "return") - Number(other.kind === "return");
}

/** The head of an empty list; its end is one past the last point. */
function emptyList<Input, Output>(): Point<Input, Output> {
  const head = makePoint<Input, Output>("head", Number.NEGATIVE_INFINITY, undefined);
  connect(head, makePoint<Input, Output>("end", Number.POSITIVE_INFINITY, undefined));
  return head;
}

function link<Input, Output>(head: Point<Input, Output>, points: readonly Point<Input, Output>[]): void {
  const end = head.next;
  let last = head;
  for (const point of points) {
    connect(last, point);
    last = point;
  }
  connect(last, end);
}

function connect<Input, Output>(one: Point<Input, Output>, next: Point<Input, Output>): void {
  one.next = next;
  next.previous = one;
}

function takeOut<Input, Output>(point: Point<Input, Output>): void {
  connect(point.previous, point.next);
}

/** Undoes `takeOut`, in the opposite order. */
function putBack<Input, Output>(point: Point<Input, Output>): void {
  point.previous.next = point;
  point.next.previous = point;
}
