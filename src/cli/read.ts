import { Command } from "commander";
import type { LogBatch, LogRecord } from "../client/log-batch.ts";
import { addressList, wholeNumber } from "./arguments.ts";
import { exitCodes } from "./exit-codes.ts";
import { Output } from "./output.ts";
import { untilStopped } from "./signals.ts";

interface ReadCommandOptions {
  readonly to: string;
  readonly from: number;
  readonly limit?: number;
  readonly follow?: true;
  readonly local?: true;
  readonly json?: true;
}

export function readCommand(): Command {
  return new Command("read")
    .description("print records, oldest first")
    .requiredOption("--to <addresses>", "client addresses of the nodes: HOST:PORT,...", addressList)
    .option("--from <position>", "first position", wholeNumber({ min: 1 }), 1)
    .option("--limit <count>", "at most so many records", wholeNumber({ min: 1 }))
    .option("--follow", "go on with new records as they come, until stopped")
    .option("--local", "whatever the node has, instead of everything that was acknowledged before")
    .option("--json", "print one JSON object per record")
    .addHelpText(
      "after",
      `
Prints the value of each record and a newline. With --json: {"position","time","type","tags","value"}; a value that is not
valid UTF-8 is given as "valueBase64" instead.

Examples:
  $ paxlog read --to 127.0.0.1:7101 --from 1 --limit 10
  $ paxlog read --to 127.0.0.1:7101,127.0.0.1:7102 --follow --json | jq .position`,
    )
    .action(async (options: ReadCommandOptions) => {
      process.exitCode = await readRecords(options, new Output(options.json === true));
    });
}

async function readRecords(options: ReadCommandOptions, output: Output): Promise<number> {
  const stop = new AbortController();
  untilStopped().then(() => stop.abort());
  try {
    await readUntil(stop.signal, options, output);
  } catch (cause) {
    // Whoever stops a reader has seen enough: that is no failure.
    if (!stop.signal.aborted) throw cause;
  }
  return exitCodes.ok;
}

async function readUntil(signal: AbortSignal, options: ReadCommandOptions, output: Output): Promise<void> {
  const { connect } = await import("../client/connect.ts");
  const log = await connect(options.to, { signal });
  try {
    const reading = log.read({
      from: options.from,
      limit: options.limit,
      follow: options.follow === true,
      freshness: options.local === true ? "local" : "linearizable",
      signal,
    });
    for await (const batch of reading.batches()) {
      if (!(output.json ? writeJson(batch, output) : writeValues(batch))) await output.drained();
      if (output.closed) break;
    }
  } finally {
    await log.close();
  }
}

/** A whole batch in one write: a write per record would cost more than all the rest. */
function writeJson(batch: LogBatch, output: Output): boolean {
  const lines: string[] = [];
  for (const record of batch.records()) lines.push(JSON.stringify(recordObject(record)));
  return output.write(lines.join("\n"));
}

function writeValues(batch: LogBatch): boolean {
  const parts: Uint8Array[] = [];
  for (const { value } of batch.records()) parts.push(value, newline);
  return process.stdout.write(Buffer.concat(parts));
}

const newline = new Uint8Array([0x0a]);

function recordObject(record: LogRecord): Record<string, unknown> {
  const { position, time, type, tags, value, metadata } = record;
  return {
    position,
    time,
    type: type ?? null,
    tags,
    ...bytesField("value", value),
    ...(metadata === undefined ? {} : bytesField("metadata", metadata)),
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function bytesField(name: string, bytes: Uint8Array): Record<string, string> {
  try {
    return { [name]: utf8.decode(bytes) };
  } catch {
    return { [`${name}Base64`]: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64") };
  }
}
