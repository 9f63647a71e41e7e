import { Command } from "commander";
import { packageVersion } from "../node/version.ts";
import { appendCommand } from "./append.ts";
import { benchCommand } from "./bench/command.ts";
import { clusterCommand } from "./cluster.ts";
import { completionCommand } from "./completion/command.ts";
import { demoCommand } from "./demo/command.ts";
import { exitCodesHelp } from "./exit-codes.ts";
import { fenceCommand } from "./fence.ts";
import { holdCommand } from "./hold.ts";
import { inspectCommand } from "./inspect.ts";
import { counterCommand } from "./objects/counter.ts";
import { lockCommand } from "./objects/lock.ts";
import { registerCommand } from "./objects/register.ts";
import { spaceCommand } from "./objects/space.ts";
import { readCommand } from "./read/command.ts";
import { tailCommand } from "./read/tail.ts";
import { serveCommand } from "./serve.ts";
import { statusCommand } from "./status.ts";
import { trimCommand } from "./trim.ts";
import { verifyCommand } from "./verify.ts";

/**
 * The commands, with their options. What a command needs to run is loaded when it runs: a node that starts after a crash does not
 * wait for the client library, nor a client for the benchmarks.
 */
export function program(): Command {
  const root = new Command("paxlog")
    .description("A replicated shared log: every acknowledged record is synced on a majority of nodes.")
    .version(packageVersion())
    .addHelpText("after", exitCodesHelp);
  const commands = [
    serveCommand(),
    clusterCommand(),
    appendCommand(),
    readCommand(),
    tailCommand(),
    statusCommand(),
    fenceCommand(),
    counterCommand(),
    registerCommand(),
    spaceCommand(),
    lockCommand(),
    inspectCommand(),
    verifyCommand(),
    trimCommand(),
    holdCommand(),
    benchCommand(),
    demoCommand(),
    completionCommand(),
  ];
  for (const command of commands) root.addCommand(command);
  for (const command of [root, ...commands, ...commands.flatMap((command) => command.commands)]) {
    command.exitOverride().showHelpAfterError("(paxlog --help, or paxlog COMMAND --help, says more)");
  }
  return root;
}
