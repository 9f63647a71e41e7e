import { type PaxlogError, toPaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { exitCodeOf, exitCodes } from "./exit-codes.ts";
import { errorObject, grouped, type Output, recordCount } from "./output.ts";

type Outcome =
  | { readonly kind: "appended"; readonly position: number }
  | { readonly kind: "failed"; readonly error: PaxlogError };

/** After one of these, every later line would meet the same end. */
const finalCodes: ReadonlySet<string> = new Set(["FENCED", "SESSION_UNKNOWN", "INVALID_ARGUMENT"]);

/** Tells the outcomes in the order of the lines, and holds the input back while too much waits for its outcome. */
export class AppendResults {
  readonly #output: Output;
  #waiting = 0;
  #waitingBytes = 0;
  #told: Promise<void> = Promise.resolve();
  #onRoom: (() => void) | undefined;
  #drained = true;
  #count = 0;
  #failures = 0;
  #first: number | undefined;
  #last = 0;
  /** A line failed in such a way that there is no use in sending more. */
  over = false;
  exitCode: number = exitCodes.ok;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Takes note of a line that was sent, of so many bytes; `appended` tells its position. */
  add(line: number, bytes: number, appended: Promise<number>): void {
    // Settled at once, so that a failure that waits for its turn is not taken for one that nobody looks at.
    const outcome: Promise<Outcome> = appended.then(
      (position) => ({ kind: "appended", position }),
      (cause) => ({ kind: "failed", error: toPaxlogError(cause) }),
    );
    this.#waiting += 1;
    this.#waitingBytes += bytes;
    this.#told = this.#told.then(async () => {
      this.#tell(line, await outcome);
      this.#waiting -= 1;
      this.#waitingBytes -= bytes;
      if (!this.full) this.#onRoom?.();
      if (!this.#drained) await this.#output.drained();
    });
  }

  get full(): boolean {
    return this.#waiting >= limits.proposalQueueCount || this.#waitingBytes >= limits.clientInFlightBytes;
  }

  room(): Promise<void> {
    return new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }

  done(): Promise<void> {
    return this.#told;
  }

  summarize(): void {
    if (this.#output.json) return;
    const where = this.#first === undefined ? "" : `, first at position ${this.#first}, last at ${this.#last}`;
    const failures = this.#failures === 0 ? "" : `; ${grouped(this.#failures)} failed`;
    this.#output.write(`appended ${recordCount(this.#count)}${where}${failures}`);
  }

  #tell(line: number, outcome: Outcome): void {
    if (outcome.kind === "failed") return this.#tellFailure(line, outcome.error);
    this.#count += 1;
    this.#first ??= outcome.position;
    this.#last = outcome.position;
    if (this.#output.json) this.#drained = this.#output.result({ line, position: outcome.position }, "");
  }

  #tellFailure(line: number, error: PaxlogError): void {
    this.#failures += 1;
    if (finalCodes.has(error.code)) this.over = true;
    const code = exitCodeOf(error);
    // An unknown outcome is what the caller must know most.
    if (this.exitCode === exitCodes.ok || code === exitCodes.unknown) this.exitCode = code;
    if (this.#output.json) this.#drained = this.#output.result({ line, ...errorObject(error) }, "");
    else this.#output.note(`paxlog: line ${line}: ${error.message} (${error.code}, outcome ${error.outcome})`);
  }
}
