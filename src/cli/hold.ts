import { Command } from "commander";
import type { Hold } from "../client/log.ts";
import { addressList, wholeNumber } from "./arguments.ts";
import { exitCodes } from "./exit-codes.ts";
import { grouped, Output } from "./output.ts";

interface HoldFlags {
  readonly to: string;
  readonly json?: true;
}

interface PutFlags extends HoldFlags {
  readonly at: number;
  readonly owner: string;
  readonly ttl?: number;
}

export function holdCommand(): Command {
  const command = new Command("hold")
    .description("keep records from being trimmed, for whoever reads them later")
    .addHelpText(
      "after",
      `
No trim passes a hold, whether a person or the retention policy asks for it. A hold expires by itself: whoever needs it moves it on and
renews it by putting it again. All holds stand in: paxlog status --json

Examples:
  $ paxlog hold put backup --at 500001 --owner "nightly backup" --ttl 172800 --to 127.0.0.1:7101
  $ paxlog hold drop backup --to 127.0.0.1:7101`,
    );
  command.addCommand(putCommand());
  command.addCommand(dropCommand());
  return command;
}

function putCommand(): Command {
  return new Command("put")
    .description("make a hold, or move and renew it")
    .argument("<name>", "of the hold, at most 64 bytes")
    .requiredOption("--at <position>", "the first record to keep, from the head to the tail", wholeNumber({ min: 1 }))
    .requiredOption("--owner <text>", "whose hold it is, at most 256 bytes: only the same owner moves and renews it")
    .option("--ttl <seconds>", "how long it holds, up to 366 days; one day if it is not given", wholeNumber({ min: 1 }))
    .requiredOption("--to <addresses>", "client addresses of the nodes: HOST:PORT,...", addressList)
    .option("--json", "print one JSON object")
    .action(async (name: string, flags: PutFlags) => {
      process.exitCode = await put(name, flags, new Output(flags.json === true));
    });
}

function dropCommand(): Command {
  return new Command("drop")
    .description("end a hold, whoever owns it")
    .argument("<name>", "of the hold")
    .requiredOption("--to <addresses>", "client addresses of the nodes: HOST:PORT,...", addressList)
    .option("--json", "print one JSON object")
    .action(async (name: string, flags: HoldFlags) => {
      process.exitCode = await drop(name, flags, new Output(flags.json === true));
    });
}

async function put(name: string, { to, at, owner, ttl }: PutFlags, output: Output): Promise<number> {
  const { connect } = await import("../client/connect.ts");
  const log = await connect(to);
  try {
    const ttlMs = ttl === undefined ? undefined : ttl * 1000;
    const hold = await log.hold(name, { position: at, owner, ttlMs });
    output.result({ ...hold }, showHold(hold));
    return exitCodes.ok;
  } finally {
    await log.close();
  }
}

async function drop(name: string, { to }: HoldFlags, output: Output): Promise<number> {
  const { connect } = await import("../client/connect.ts");
  const log = await connect(to);
  try {
    const existed = await log.dropHold(name);
    output.result({ existed }, existed ? `the hold "${name}" is gone` : `there is no hold "${name}"`);
    return exitCodes.ok;
  } finally {
    await log.close();
  }
}

/** One line about a hold. */
export const showHold = ({ name, owner, position, expiresAt }: Hold): string =>
  `hold "${name}" of "${owner}" keeps all from ${grouped(position)} on, until ${new Date(expiresAt).toISOString()}`;
