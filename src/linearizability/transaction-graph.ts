/** Why one transaction comes before another. */
export type Dependency =
  /** It wrote the version before. */
  | "ww"
  /** The other one read what it wrote. */
  | "wr"
  /** It read the version before the one that the other wrote. */
  | "rw"
  /** It had returned when the other began. */
  | "rt";

interface Edge {
  readonly to: number;
  readonly kind: Dependency;
}

/** One step of a cycle: the transaction, and what leads from it to the next one. The last leads to the first. */
export interface CycleStep {
  readonly transaction: number;
  readonly kind: Dependency;
}

/**
 * Which transaction must come before which (direct serialization graph; Adya, 1999), with real time. Transactions are numbered from 0.
 * Nodes behind them stand for moments: so real time takes three edges for each transaction and not one for each pair.
 */
export class TransactionGraph {
  readonly #count: number;
  readonly #edges: Edge[][];

  constructor(count: number) {
    this.#count = count;
    this.#edges = Array.from({ length: count }, () => []);
  }

  /** Nothing comes before itself. */
  add(from: number, to: number, kind: Exclude<Dependency, "rt">): void {
    if (from !== to) this.#edges[from]!.push({ to, kind });
  }

  /** `returnedAt` is Infinity for one that nobody saw return. Moments that are equal order nothing. */
  addRealTime(times: readonly { readonly invokedAt: number; readonly returnedAt: number }[]): void {
    const returns = times
      .map(({ returnedAt }, transaction) => ({ returnedAt, transaction }))
      .filter(({ returnedAt }) => Number.isFinite(returnedAt))
      .sort((a, b) => a.returnedAt - b.returnedAt);
    const moment = (index: number): number => this.#count + index;
    for (const [index, { transaction }] of returns.entries()) {
      this.#edges[moment(index)] = index + 1 < returns.length ? [{ to: moment(index + 1), kind: "rt" }] : [];
      this.#edges[transaction]!.push({ to: moment(index), kind: "rt" });
    }
    const begun = times.map(({ invokedAt }, transaction) => ({ invokedAt, transaction }));
    begun.sort((a, b) => a.invokedAt - b.invokedAt);
    let before = 0;
    for (const { invokedAt, transaction } of begun) {
      while (before < returns.length && returns[before]!.returnedAt < invokedAt) before += 1;
      if (before > 0) this.#edges[moment(before - 1)]!.push({ to: transaction, kind: "rt" });
    }
  }

  /**
   * A cycle of these dependencies, the shortest through one of its transactions; undefined where there is none. With `once` it bears that
   * kind exactly once, and the others as often as it takes.
   */
  cycle(kinds: readonly Dependency[], once?: Dependency): CycleStep[] | undefined {
    const wanted = new Set(kinds);
    if (once !== undefined) return this.#cycleWithOne(once, wanted);
    for (const component of this.#components(wanted)) {
      if (component.length === 1) continue;
      const inside = new Set(component);
      const start = component.find((node) => node < this.#count)!;
      return this.#steps(this.#path(start, start, wanted, inside)!);
    }
    return undefined;
  }

  #cycleWithOne(once: Dependency, others: ReadonlySet<Dependency>): CycleStep[] | undefined {
    const inside = new Set<number>();
    for (const component of this.#components(new Set([...others, once]))) {
      if (component.length > 1) for (const node of component) inside.add(node);
    }
    for (const from of inside) {
      for (const { to, kind } of this.#edges[from]!) {
        if (kind !== once || !inside.has(to)) continue;
        const back = this.#path(to, from, others, inside);
        if (back !== undefined) return this.#steps([{ from, kind: once }, ...back]);
      }
    }
    return undefined;
  }

  /** Moments are left out: what leads through them is one step of real time. */
  #steps(path: readonly { readonly from: number; readonly kind: Dependency }[]): CycleStep[] {
    return path.filter(({ from }) => from < this.#count).map(({ from: transaction, kind }) => ({ transaction, kind }));
  }

  /** The edges of a shortest way from one node to another, at least one edge long. */
  #path(
    from: number,
    to: number,
    kinds: ReadonlySet<Dependency>,
    inside: ReadonlySet<number>,
  ): { from: number; kind: Dependency }[] | undefined {
    const cameBy = new Map<number, { from: number; kind: Dependency }>();
    let front = [from];
    while (front.length > 0) {
      const next: number[] = [];
      for (const node of front) {
        for (const edge of this.#edges[node]!) {
          if (!kinds.has(edge.kind) || !inside.has(edge.to) || cameBy.has(edge.to)) continue;
          cameBy.set(edge.to, { from: node, kind: edge.kind });
          if (edge.to === to) return wayTo(to, from, cameBy);
          next.push(edge.to);
        }
      }
      front = next;
    }
    return undefined;
  }

  /** Strongly connected components (Tarjan, 1972), without recursion: histories are long. */
  #components(kinds: ReadonlySet<Dependency>): number[][] {
    const { length } = this.#edges;
    const found = new Int32Array(length).fill(-1);
    const low = new Int32Array(length);
    const isOpen = new Uint8Array(length);
    const open: number[] = [];
    const components: number[][] = [];
    let count = 0;
    const enter = (node: number): { node: number; edge: number } => {
      found[node] = low[node] = count;
      count += 1;
      open.push(node);
      isOpen[node] = 1;
      return { node, edge: 0 };
    };
    for (let root = 0; root < length; root += 1) {
      if (found[root] !== -1) continue;
      const calls = [enter(root)];
      while (calls.length > 0) {
        const call = calls.at(-1)!;
        const edge = this.#edges[call.node]![call.edge];
        if (edge !== undefined) {
          call.edge += 1;
          if (!kinds.has(edge.kind)) continue;
          if (found[edge.to] === -1) calls.push(enter(edge.to));
          else if (isOpen[edge.to] === 1) low[call.node] = Math.min(low[call.node]!, found[edge.to]!);
          continue;
        }
        calls.pop();
        const parent = calls.at(-1);
        if (parent !== undefined) low[parent.node] = Math.min(low[parent.node]!, low[call.node]!);
        if (low[call.node] !== found[call.node]) continue;
        const component = open.splice(open.lastIndexOf(call.node));
        for (const node of component) isOpen[node] = 0;
        components.push(component);
      }
    }
    return components;
  }
}

function wayTo(
  to: number,
  from: number,
  cameBy: ReadonlyMap<number, { from: number; kind: Dependency }>,
): { from: number; kind: Dependency }[] {
  const way: { from: number; kind: Dependency }[] = [];
  for (let node = to; way.length === 0 || node !== from; ) {
    const step = cameBy.get(node)!;
    way.unshift(step);
    node = step.from;
  }
  return way;
}
