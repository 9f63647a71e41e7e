import { Command } from "commander";
import { Output } from "../output.ts";

export function demoCommand(): Command {
  return new Command("demo")
    .description(
      "show the main job: three nodes, 220,000 records, a leader that is killed, and proof that nothing was lost",
    )
    .option("--dir <dir>", "where the nodes keep their data; removed at the end", "./.paxlog-demo")
    .addHelpText(
      "after",
      `
Needs the data of the npm package vega-datasets, which is there after npm install in a clone.

Example:
  $ paxlog demo`,
    )
    .action(async (options: { readonly dir: string }) => {
      const { demonstrate } = await import("./run.ts");
      process.exitCode = await demonstrate(options.dir, new Output(false));
    });
}
