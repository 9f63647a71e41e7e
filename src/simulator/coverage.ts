/** How often the things happened that a run is for. A counter that stays at zero says that nothing was tested. */
export class Coverage {
  readonly #counts = new Map<string, number>();

  readonly count = (name: string): void => {
    this.add(name, 1);
  };

  add(name: string, count: number): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  /** Keeps the largest value seen. */
  max(name: string, value: number): void {
    this.#counts.set(name, Math.max(this.#counts.get(name) ?? 0, value));
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** Adds what another run saw; names that end in "Max" keep the larger value. */
  merge(other: Coverage): void {
    for (const [name, count] of other.#counts) {
      if (name.endsWith("Max")) this.max(name, count);
      else this.add(name, count);
    }
  }

  /** By name. */
  entries(): [string, number][] {
    return [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}
