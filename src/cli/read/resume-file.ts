import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { PaxlogError } from "../../base/errors.ts";

/** How long a place is kept in memory before it is written: a write for each batch would cost more than the batch. */
const saveMs = 200;

/** The place of a reader, in a file: the next position in decimal and a newline. Replaced as a whole, so it is never half a number. */
export class ResumeFile {
  readonly #path: string;
  #position: number | undefined;
  #saved: number | undefined;
  #savedMs = 0;

  /** Throws INVALID_ARGUMENT where the file holds no position, or cannot be read. */
  constructor(path: string) {
    this.#path = path;
    this.#position = this.#saved = readPosition(path);
  }

  /** Where to go on; undefined at the first run. */
  get position(): number | undefined {
    return this.#position;
  }

  /** Everything before this position was printed, or is not wanted. */
  move(position: number): void {
    if (position === 0 || position === this.#position) return;
    this.#position = position;
    if (performance.now() - this.#savedMs >= saveMs) this.save();
  }

  save(): void {
    if (this.#position === undefined || this.#position === this.#saved) return;
    const temporary = `${this.#path}.new`;
    writeFileSync(temporary, `${this.#position}\n`);
    renameSync(temporary, this.#path);
    this.#saved = this.#position;
    this.#savedMs = performance.now();
  }
}

function readPosition(path: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new PaxlogError("INVALID_ARGUMENT", `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const position = /^[1-9][0-9]*\n$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(position)) return position;
  throw new PaxlogError("INVALID_ARGUMENT", `${path} does not hold a position: it was not made by --resume`);
}
