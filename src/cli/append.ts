import { createReadStream } from "node:fs";
import { Command } from "commander";
import { PaxlogError, toPaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Log } from "../client/log.ts";
import type { RecordInput } from "../format/batch-encode.ts";
import { addressList } from "./arguments.ts";
import { exitCodeOf, exitCodes } from "./exit-codes.ts";
import { linesOf } from "./lines.ts";
import { grouped, Output } from "./output.ts";

interface AppendOptions {
  readonly to: string;
  readonly type?: string;
  readonly tag?: readonly string[];
  readonly json?: true;
}

export function appendCommand(): Command {
  return new Command("append")
    .description("append a record for each line of a file or of standard input")
    .argument("[file]", "file to read; standard input if there is none, or if it is -")
    .requiredOption("--to <addresses>", "client addresses of the nodes: HOST:PORT,...", addressList)
    .option("--type <type>", "type of every record")
    .option("--tag <tags...>", "tags of every record")
    .option("--json", "print one JSON object per line of the input, in its order")
    .addHelpText(
      "after",
      `
With --json: {"line","position"} for an acknowledged line, {"line","error","outcome"} for one that failed. Outcome "none":
it was not written and will not be. Outcome "unknown": it was sent and no answer came; it may be in the log. Nothing that
may have been written is sent again.

Examples:
  $ seq 1000 | paxlog append --to 127.0.0.1:7101,127.0.0.1:7102
  $ paxlog append --to 127.0.0.1:7101 --json --type access access.log`,
    )
    .action(async (file: string | undefined, options: AppendOptions) => {
      process.exitCode = await appendLines(file, options, new Output(options.json === true));
    });
}

async function appendLines(file: string | undefined, options: AppendOptions, output: Output): Promise<number> {
  const input = file === undefined || file === "-" ? process.stdin : createReadStream(file);
  const { connect } = await import("../client/connect.ts");
  const log = await connect(options.to);
  const results = new OrderedResults(output);
  try {
    let line = 0;
    for await (const value of linesOf(input)) {
      line += 1;
      const record = { value, type: options.type, tags: options.tag };
      results.add(line, value.length, appended(log, record));
      if (results.full) await results.room();
    }
  } catch (cause) {
    throw inputError(file, cause);
  } finally {
    await results.done();
    await log.close();
  }
  results.summarize();
  return results.exitCode;
}

type Outcome =
  | { readonly kind: "appended"; readonly position: number }
  | { readonly kind: "failed"; readonly error: PaxlogError };

function appended(log: Log, record: RecordInput): Promise<Outcome> {
  return log.append(record).then(
    ({ position }) => ({ kind: "appended", position }),
    (cause) => ({ kind: "failed", error: toPaxlogError(cause) }),
  );
}

/** Tells the outcomes in the order of the lines, and holds the input back while too much waits for its outcome. */
class OrderedResults {
  readonly #output: Output;
  #waiting = 0;
  #waitingBytes = 0;
  #told: Promise<void> = Promise.resolve();
  #onRoom: (() => void) | undefined;
  #count = 0;
  #failures = 0;
  #first: number | undefined;
  #last = 0;
  exitCode: number = exitCodes.ok;

  constructor(output: Output) {
    this.#output = output;
  }

  add(line: number, bytes: number, outcome: Promise<Outcome>): void {
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

  #drained = true;

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

  #tell(line: number, outcome: Outcome): void {
    if (outcome.kind === "appended") {
      this.#count += 1;
      this.#first ??= outcome.position;
      this.#last = outcome.position;
      if (this.#output.json) this.#drained = this.#output.result({ line, position: outcome.position }, "");
      return;
    }
    const { error } = outcome;
    this.#failures += 1;
    const code = exitCodeOf(error);
    // An unknown outcome is what the caller must know most.
    if (this.exitCode === exitCodes.ok || code === exitCodes.unknown) this.exitCode = code;
    if (this.#output.json) {
      this.#drained = this.#output.result(
        { line, error: error.code, outcome: error.outcome, message: error.message },
        "",
      );
    } else {
      this.#output.note(`paxlog: line ${line}: ${error.message} (${error.code}, outcome ${error.outcome})`);
    }
  }

  summarize(): void {
    if (this.#output.json) return;
    const where = this.#first === undefined ? "" : `, first at position ${this.#first}, last at ${this.#last}`;
    const failures = this.#failures === 0 ? "" : `; ${grouped(this.#failures)} failed`;
    this.#output.write(`appended ${grouped(this.#count)} records${where}${failures}`);
  }
}

function inputError(file: string | undefined, cause: unknown): PaxlogError {
  if (cause instanceof PaxlogError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new PaxlogError("INVALID_ARGUMENT", `${file ?? "standard input"} cannot be read: ${reason}`, { cause });
}
