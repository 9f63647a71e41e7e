#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { packageVersion } from "../node/version.ts";
import { appendCommand } from "./append.ts";
import { benchCommand } from "./bench/command.ts";
import { clusterCommand } from "./cluster.ts";
import { demoCommand } from "./demo/command.ts";
import { exitCodeOf, exitCodes, exitCodesHelp } from "./exit-codes.ts";
import { collectByBuffers } from "./heap.ts";
import { Output } from "./output.ts";
import { readCommand } from "./read.ts";
import { serveCommand } from "./serve.ts";
import { statusCommand } from "./status.ts";

/**
 * The commands, with their options. What a command needs to run is loaded when it runs: a node that starts after a crash does not
 * wait for the client library, nor a client for the benchmarks.
 */
function program(): Command {
  const root = new Command("paxlog")
    .description("A replicated shared log: every acknowledged record is synced on a majority of nodes.")
    .version(packageVersion())
    .addHelpText("after", exitCodesHelp);
  const commands = [
    serveCommand(),
    clusterCommand(),
    appendCommand(),
    readCommand(),
    statusCommand(),
    benchCommand(),
    demoCommand(),
  ];
  for (const command of commands) root.addCommand(command);
  for (const command of [root, ...commands, ...commands.flatMap((command) => command.commands)]) {
    command.exitOverride().showHelpAfterError("(paxlog --help, or paxlog COMMAND --help, says more)");
  }
  return root;
}

collectByBuffers();
try {
  await program().parseAsync();
} catch (cause) {
  if (cause instanceof CommanderError) {
    // Commander has said what is wrong. Help that was asked for is no error.
    process.exitCode = cause.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  } else {
    new Output(process.argv.includes("--json")).error(cause);
    process.exitCode = exitCodeOf(cause);
  }
}
