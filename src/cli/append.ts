import { createReadStream } from "node:fs";
import { Command, Option } from "commander";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Compression } from "../client/compression.ts";
import type { AppendOptions, Session } from "../client/log.ts";
import type { RecordInput } from "../format/batch-encode.ts";
import { type GuardFlags, gathered, revision, type StateGuards, stateGuardsOf } from "./append-guards.ts";
import { AppendResults } from "./append-results.ts";
import { addressList, wholeNumber } from "./arguments.ts";
import { exitCodes } from "./exit-codes.ts";
import { linesOf } from "./lines.ts";
import { Output, recordCount } from "./output.ts";

interface AppendFlags extends GuardFlags {
  readonly to: string;
  readonly type?: string;
  readonly tag: readonly string[];
  readonly deadline: number;
  readonly session: boolean;
  readonly compression: Compression;
  readonly json?: true;
}

export function appendCommand(): Command {
  return new Command("append")
    .description("append a record for each line of a file or of standard input")
    .argument("[file]", "file to read; standard input if there is none, or if it is -")
    .requiredOption("--to <addresses>", "client addresses of the nodes: HOST:PORT,...", addressList)
    .option("--type <type>", "type of every record")
    .option("--tag <tag>", "a tag of every record; may be repeated", gathered, [])
    .option("--stream <tag>", "stream of every record: they bear this tag too")
    .option("--expected-revision <revision>", "where the stream must stand: see below", revision)
    .option("--expected-tail <position>", "position that the first line must get", wholeNumber({ min: 1 }))
    .option("--unless-type <type>", "nothing, if a record has one of these types; may be repeated", gathered, [])
    .option("--unless-tag <tag>", "nothing, if a record has all of these tags; may be repeated", gathered, [])
    .option("--after <position>", "only records behind it count for --unless; 0 by default", wholeNumber({ min: 0 }))
    .option("--fencing-token <token>", "refused once the log's fence is above it", wholeNumber({ min: 0 }))
    .option("--deadline <seconds>", "how long lines wait for a leader", wholeNumber({ min: 1, max: 86_400 }), 10)
    .addOption(
      new Option("--compression <how>", "of what is sent; readers need not know")
        .choices(["none", "gzip", "zstd", "auto"])
        .default("none"),
    )
    .option("--no-session", "send nothing twice, and leave unknown what became of a line whose answer was lost")
    .option("--json", "print one JSON object per line of the input, in its order")
    .addHelpText("after", appendHelp)
    .action(async (file: string | undefined, flags: AppendFlags) => {
      process.exitCode = await append(file, flags, new Output(flags.json === true));
    });
}

const appendHelp = `
Lines are sent through a session: after a lost answer or leader they are sent again, and land once.

With --expected-revision (a position, any, no-stream, stream-exists), --expected-tail or --unless-type and --unless-tag the whole
input is one append: all lines are written if the log is as demanded, otherwise none, with exit code 8.

With --json: {"line","position"} for an acknowledged line, {"line","error","outcome"} for one that failed. Outcome "none": it was
not written and will not be. Outcome "unknown": it may be in the log, now or later.

Examples:
  $ seq 1000 | paxlog append --to 127.0.0.1:7101,127.0.0.1:7102
  $ paxlog append --to 127.0.0.1:7101 --json --type access --tag host:www1 access.log
  $ echo '{"item":"apple"}' | paxlog append --to 127.0.0.1:7101 --stream cart:7 --expected-revision no-stream
  $ echo ada | paxlog append --to 127.0.0.1:7101 --type NameTaken --tag name:ada --unless-tag name:ada`;

async function append(file: string | undefined, flags: AppendFlags, output: Output): Promise<number> {
  const stateGuards = stateGuardsOf(flags);
  const input = file === undefined || file === "-" ? process.stdin : createReadStream(file);
  const { connect } = await import("../client/connect.ts");
  const log = await connect(flags.to, { deadlineMs: flags.deadline * 1000, compression: flags.compression });
  try {
    const session = flags.session ? await log.session() : undefined;
    const target = { log: session ?? log, input: recordsOf(file, input, flags), flags, output };
    const exitCode = stateGuards === undefined ? await appendEach(target) : await appendAll(target, stateGuards);
    // The log forgets it by itself after a while: that it cannot be told so now takes nothing from what was acknowledged.
    await session?.close().catch(() => {});
    return exitCode;
  } finally {
    // What is piped in may never end.
    input.destroy();
    await log.close();
  }
}

interface Target {
  /** A session, or without one the log itself. */
  readonly log: Pick<Session, "append">;
  readonly input: AsyncIterable<RecordInput & { readonly value: Buffer }>;
  readonly flags: AppendFlags;
  readonly output: Output;
}

/** The lines as records. An input that cannot be read is INVALID_ARGUMENT. */
async function* recordsOf(file: string | undefined, input: AsyncIterable<Buffer | string>, flags: AppendFlags) {
  const tags = flags.stream === undefined ? flags.tag : [...new Set([...flags.tag, flags.stream])];
  try {
    for await (const value of linesOf(input)) yield { value, type: flags.type, tags };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PaxlogError("INVALID_ARGUMENT", `${file ?? "standard input"} cannot be read: ${reason}`, { cause });
  }
}

/** Each line for itself, many under way. */
async function appendEach({ log, input, flags, output }: Target): Promise<number> {
  const options: AppendOptions = flags.fencingToken === undefined ? {} : { fencingToken: flags.fencingToken };
  const results = new AppendResults(output);
  let line = 0;
  try {
    for await (const record of input) {
      line += 1;
      const appended = log.append(record, options).then(({ position }) => position);
      results.add(line, record.value.length, appended);
      if (results.full) await results.room();
      if (results.over) break;
    }
  } finally {
    await results.done();
  }
  results.summarize();
  return results.exitCode;
}

/** All lines or none. */
async function appendAll({ log, input, flags, output }: Target, guards: StateGuards): Promise<number> {
  const records: RecordInput[] = [];
  let bytes = 0;
  for await (const record of input) {
    records.push(record);
    bytes += record.value.length;
    // More than one append may hold is not read to its end: the library says so of what is here.
    if (records.length > limits.batchRecordsMax || bytes > limits.batchBytesMax) break;
  }
  const { fencingToken } = flags;
  const { first, last } = await log.append(records, {
    ...guards,
    ...(fencingToken === undefined ? {} : { fencingToken }),
  });
  if (output.json) {
    for (const index of records.keys()) {
      if (!output.result({ line: index + 1, position: first + index }, "")) await output.drained();
    }
  } else output.write(`appended ${recordCount(records.length)}, first at position ${first}, last at ${last}`);
  return exitCodes.ok;
}
