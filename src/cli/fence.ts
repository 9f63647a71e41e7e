import { Command } from "commander";
import { addressList, wholeNumber } from "./arguments.ts";
import { exitCodes } from "./exit-codes.ts";
import { grouped, Output } from "./output.ts";

interface FenceFlags {
  readonly to: string;
  readonly json?: true;
}

export function fenceCommand(): Command {
  return new Command("fence")
    .description("shut out writers whose fencing token is smaller than this one")
    .argument("<token>", "larger than the tokens of those to be shut out", wholeNumber({ min: 0 }))
    .requiredOption("--to <addresses>", "client addresses of the nodes: HOST:PORT,...", addressList)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Only writers that show a token (append --fencing-token) are shut out. Everything that those with smaller ones wrote is below the
tail that is printed: {"fence","tail"}. If the fence is above the token already: exit code 9.

Examples:
  $ paxlog fence 7 --to 127.0.0.1:7101,127.0.0.1:7102
  $ paxlog append --to 127.0.0.1:7101 --fencing-token 7 access.log`,
    )
    .action(async (token: number, flags: FenceFlags) => {
      process.exitCode = await raiseFence(token, flags, new Output(flags.json === true));
    });
}

async function raiseFence(token: number, flags: FenceFlags, output: Output): Promise<number> {
  const { connect } = await import("../client/connect.ts");
  const log = await connect(flags.to);
  try {
    const { fence, tail } = await log.fence(token);
    output.result(
      { fence, tail },
      `the fence is at ${grouped(fence)}; all that it shuts out is below ${grouped(tail)}`,
    );
    return exitCodes.ok;
  } finally {
    await log.close();
  }
}
