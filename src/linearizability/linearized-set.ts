const fullWord = 0xffff_ffff;

/**
 * A set of indexes that grows and shrinks by one. Indexes enter roughly in order, so that its key names the words between the
 * full ones and the empty ones alone: it stays short however long the history is.
 */
export class LinearizedSet {
  readonly #words: Uint32Array;
  /** First word that is not full, and one past the last that is not empty. Both are functions of the set, so the key is. */
  #firstOpen = 0;
  #end = 0;

  constructor(size: number) {
    this.#words = new Uint32Array(Math.ceil(size / 32));
  }

  has(index: number): boolean {
    return ((this.#words[index >>> 5]! >>> (index & 31)) & 1) === 1;
  }

  add(index: number): void {
    const word = index >>> 5;
    this.#words[word]! |= 1 << (index & 31);
    this.#end = Math.max(this.#end, word + 1);
    while (this.#words[this.#firstOpen] === fullWord) this.#firstOpen += 1;
  }

  delete(index: number): void {
    const word = index >>> 5;
    this.#words[word]! &= ~(1 << (index & 31));
    this.#firstOpen = Math.min(this.#firstOpen, word);
    while (this.#end > 0 && this.#words[this.#end - 1] === 0) this.#end -= 1;
  }

  /** Equal for equal sets of one size, and only for those. */
  get key(): string {
    let key = this.#firstOpen.toString(36);
    for (let word = this.#firstOpen; word < this.#end; word += 1) key += `.${this.#words[word]!.toString(36)}`;
    return key;
  }
}
