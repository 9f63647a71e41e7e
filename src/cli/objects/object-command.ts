import { Command } from "commander";
import type { Log } from "../../client/log.ts";
import type { WatchOptions } from "../../client/objects/handles.ts";
import type { StoredBytes } from "../../client/objects/stored-bytes.ts";
import { addressList, wholeNumber } from "../arguments.ts";
import { exitCodes } from "../exit-codes.ts";
import { bytesField, Output } from "../output.ts";
import { untilStopped } from "../signals.ts";

export interface ObjectFlags {
  readonly to: string;
  readonly json?: true;
}

/** A command that speaks to the nodes. */
export function objectCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .requiredOption("--to <addresses>", "client addresses of the nodes: HOST:PORT,...", addressList)
    .option("--json", "print one JSON object");
}

/** Runs with a log, closes it, and sets the exit code: "refused" where a comparison did not hold. */
export async function withLog(
  { to, json }: ObjectFlags,
  work: (log: Log, output: Output) => Promise<"done" | "refused">,
): Promise<void> {
  const { connect } = await import("../../client/connect.ts");
  const log = await connect(to);
  try {
    const result = await work(log, new Output(json === true));
    process.exitCode = result === "done" ? exitCodes.ok : exitCodes.conflict;
  } finally {
    await log.close();
  }
}

export interface WatchFlags extends ObjectFlags {
  readonly from?: number;
}

/** The command that prints changes, each on a line, until it is interrupted. */
export const watchCommand = (description: string): Command =>
  objectCommand("watch", description).option("--from <position>", "changes from there on", wholeNumber({ min: 1 }));

/** Prints each change, with its position, until the command is interrupted, or nobody reads. */
export const printWatch = <Change extends { readonly position: number }>(
  flags: WatchFlags,
  watch: (log: Log, options: WatchOptions) => AsyncIterable<Change>,
  resultOf: (change: Change) => Result,
): Promise<void> =>
  withLog(flags, async (log, output) => {
    const stopped = new AbortController();
    void untilStopped().then(() => stopped.abort());
    for await (const change of watch(log, { from: flags.from, signal: stopped.signal })) {
      const { object, text } = resultOf(change);
      output.result({ position: change.position, ...object }, text);
      if (output.closed) break;
      await output.drained();
    }
    return "done";
  });

/** For both kinds of output. */
export interface Result {
  readonly object: Record<string, unknown>;
  readonly text: string;
}

/** What stands in a register. */
export function valueResult(stored: (StoredBytes & { readonly version: number }) | undefined): Result {
  if (stored === undefined) return { object: { exists: false }, text: "(none)" };
  const { version, value } = stored;
  return { object: { exists: true, version, ...bytesField("value", value) }, text: stored.text() };
}
