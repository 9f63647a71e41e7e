import { Command } from "commander";
import { gathered } from "../append-guards.ts";
import { addressList, wholeNumber } from "../arguments.ts";
import { exitCodes } from "../exit-codes.ts";
import { Output } from "../output.ts";
import { position, query, type RangeFlags, rangeOf, time } from "./arguments.ts";
import { runRead } from "./run.ts";

interface ReadFlags extends RangeFlags {
  readonly to: string;
  readonly follow?: true;
  readonly json?: true;
}

/** The options that `paxlog read` and `paxlog tail` share. */
export function withSelection(command: Command): Command {
  return command
    .requiredOption("--to <addresses>", "client addresses of the nodes: HOST:PORT,...", addressList)
    .option("--type <type>", "only records of this type; of one of them, where it is repeated", gathered, [])
    .option("--tag <tag>", "only records with this tag; with all of them, where it is repeated", gathered, [])
    .option(
      "--query <json>",
      'only records that match: {"types":["T"],"tags":["a","b"]}, or a list of such items',
      query,
    )
    .option("--local", "whatever the node has, instead of everything that was acknowledged before")
    .option("--at-least <position>", "whatever the node has, once it has this position", position)
    .option("--json", "print one JSON object per record");
}

export function readCommand(): Command {
  return withSelection(new Command("read"))
    .description("print records, oldest first")
    .option("--from <position>", "first position; the oldest readable one by default", position)
    .option("--since <time>", "first time: a date, or so long ago (90s, 15m, 2h, 7d)", (text: string) => time(text))
    .option("--last <count>", "only so many records before the tail", wholeNumber({ min: 1 }))
    .option("--before <position>", "end before this position", position)
    .option("--until <time>", "end before this time, given as for --since", (text: string) => time(text))
    .option("--reverse", "newest first")
    .option("--limit <count>", "at most so many records", wholeNumber({ min: 1 }))
    .option("--follow", "go on with new records as they come, until stopped")
    .addHelpText(
      "after",
      `
Prints the value of each record and a newline. With --json: {"position","time","type","tags","value"}; a value that is not
valid UTF-8 is given as "valueBase64" instead.

Examples:
  $ paxlog read --to 127.0.0.1:7101 --from 1 --limit 10
  $ paxlog read --to 127.0.0.1:7101 --tag order:42 --reverse --limit 1
  $ paxlog read --to 127.0.0.1:7101,127.0.0.1:7102 --since 15m --follow --json | jq .position`,
    )
    .action(async (flags: ReadFlags) => {
      const options = { ...rangeOf(flags), follow: flags.follow === true };
      await runRead(flags.to, options, new Output(flags.json === true));
      process.exitCode = exitCodes.ok;
    });
}
