import { Command } from "commander";
import { addressList, wholeNumber } from "./arguments.ts";
import { exitCodes } from "./exit-codes.ts";
import { grouped, Output } from "./output.ts";

interface TrimFlags {
  readonly to: string;
  readonly json?: true;
}

export function trimCommand(): Command {
  return new Command("trim")
    .description("let go of the oldest records, on all nodes")
    .argument("<position>", "the first record to keep, from 1 to the tail", wholeNumber({ min: 1 }))
    .requiredOption("--to <addresses>", "client addresses of the nodes: HOST:PORT,...", addressList)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
The log begins at the position from then on: what is before can be read no more, and its space is used again. A hold that keeps older
records (paxlog hold) stops the trim there, which is no failure: the line that is printed says where the log begins and which hold it
was: {"head","heldBy"}.

Examples:
  $ paxlog trim 1000000 --to 127.0.0.1:7101,127.0.0.1:7102`,
    )
    .action(async (position: number, flags: TrimFlags) => {
      process.exitCode = await trim(position, flags, new Output(flags.json === true));
    });
}

async function trim(position: number, flags: TrimFlags, output: Output): Promise<number> {
  const { connect } = await import("../client/connect.ts");
  const log = await connect(flags.to);
  try {
    const { head, heldBy } = await log.trim(position);
    const held = heldBy === undefined ? "" : `: the hold "${heldBy.name}" of "${heldBy.owner}" keeps what follows`;
    output.result({ head, heldBy: heldBy ?? null }, `the log begins at ${grouped(head)}${held}`);
    return exitCodes.ok;
  } finally {
    await log.close();
  }
}
