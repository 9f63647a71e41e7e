import { Command } from "commander";
import { wholeNumber } from "../arguments.ts";
import { exitCodes } from "../exit-codes.ts";
import { Output } from "../output.ts";
import { type SelectionFlags, selectionOf } from "./arguments.ts";
import { withSelection } from "./command.ts";
import { ResumeFile } from "./resume-file.ts";
import { runRead } from "./run.ts";

interface TailFlags extends SelectionFlags {
  readonly to: string;
  readonly last: number;
  readonly resume?: string;
  readonly json?: true;
}

export function tailCommand(): Command {
  return withSelection(new Command("tail"))
    .description("print the last records, and new ones as they come, until stopped")
    .option("--last <count>", "begin so many records before the tail", wholeNumber({ min: 0 }), 10)
    .option("--resume <file>", "go on where the file says the last run was, and keep the place there")
    .addHelpText(
      "after",
      `
Prints as "paxlog read --follow" does. With --resume the next position is kept in a file, which is made at the first run: after a
stop, a crash or a move to another machine nothing is missed, and at most what was printed last comes again.

Examples:
  $ paxlog tail --to 127.0.0.1:7101 --last 0
  $ paxlog tail --to 127.0.0.1:7101,127.0.0.1:7102 --tag order:42 --json --resume ./orders.position`,
    )
    .action(async (flags: TailFlags) => {
      await tail(flags);
      process.exitCode = exitCodes.ok;
    });
}

async function tail(flags: TailFlags): Promise<void> {
  const output = new Output(flags.json === true);
  const file = flags.resume === undefined ? undefined : new ResumeFile(flags.resume);
  const from = file?.position ?? { tail: -flags.last };
  const options = { ...selectionOf(flags), from, follow: true };
  try {
    await runRead(flags.to, { ...options, onNotice: ({ next }) => file?.move(next) }, output, ({ last }) =>
      file?.move(last + 1),
    );
  } finally {
    file?.save();
  }
}
