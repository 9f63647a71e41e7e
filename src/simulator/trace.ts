/** Quiet lines are those that a trace for people leaves out. */
export type WatchTrace = (line: string, isQuiet: boolean) => void;

/**
 * What happened in a run: the last lines for whoever reads a failure, and a hash over all of them, which proves that a seed
 * replays (two runs of one seed have equal hashes).
 */
export class Trace {
  readonly #lines: string[] = [];
  readonly #keep: number;
  /** Called with every line, for a run that is watched. */
  readonly #watch: WatchTrace | undefined;
  #count = 0;
  #high = 0x811c_9dc5;
  #low = 0x0100_0193;

  constructor(options: { readonly keep?: number; readonly watch?: WatchTrace | undefined } = {}) {
    this.#keep = options.keep ?? 60;
    this.#watch = options.watch;
  }

  /** A quiet line counts in the hash and is shown to nobody. */
  add(nowUs: number, text: string, isQuiet = false): void {
    const line = `${nowUs} ${text}`;
    let high = this.#high;
    let low = this.#low;
    for (let i = 0; i < line.length; i += 1) {
      const unit = line.charCodeAt(i);
      high = Math.imul(high ^ unit, 0x0100_0193);
      low = Math.imul((low ^ unit) + 0x9e37_79b9, 0x85eb_ca6b) ^ (low >>> 13);
    }
    this.#high = high;
    this.#low = low;
    this.#watch?.(line, isQuiet);
    if (isQuiet) return;
    this.#lines[this.#count % this.#keep] = line;
    this.#count += 1;
  }

  get count(): number {
    return this.#count;
  }

  /** 16 hexadecimal digits. */
  get hash(): string {
    const digits = (value: number) => (value >>> 0).toString(16).padStart(8, "0");
    return digits(this.#high) + digits(this.#low);
  }

  /** The last lines, oldest first. */
  last(): string[] {
    const begin = this.#count % this.#keep;
    if (this.#count <= this.#keep) return this.#lines.slice(0, this.#count);
    return [...this.#lines.slice(begin), ...this.#lines.slice(0, begin)];
  }
}
