import { Command } from "commander";
import { wholeNumber } from "../arguments.ts";
import { grouped } from "../output.ts";
import {
  type ObjectFlags,
  objectCommand,
  printWatch,
  type WatchFlags,
  watchCommand,
  withLog,
} from "./object-command.ts";

export function counterCommand(): Command {
  const command = new Command("counter").description("whole numbers that all share").addHelpText(
    "after",
    `
A counter is 0 until somebody adds to it. Numbers that are taken are nobody else's.

Examples:
  $ paxlog counter add visits --to 127.0.0.1:7101
  $ paxlog counter take orders --count 100 --to 127.0.0.1:7101 --json`,
  );
  return command
    .addCommand(getCommand())
    .addCommand(addCommand())
    .addCommand(takeCommand())
    .addCommand(watchCounterCommand());
}

const getCommand = (): Command =>
  objectCommand("get", "what it is")
    .argument("<name>", "of the counter")
    .action((name: string, flags: ObjectFlags) =>
      withLog(flags, async (log, output) => {
        const value = await log.counter(name).get();
        output.result({ value }, grouped(value));
        return "done";
      }),
    );

const addCommand = (): Command =>
  objectCommand("add", "add to it; prints what it was before and is now")
    .argument("<name>", "of the counter")
    .option("--delta <number>", "how much, less than 0 too", wholeNumber({ min: Number.MIN_SAFE_INTEGER }), 1)
    .action((name: string, flags: ObjectFlags & { readonly delta: number }) =>
      withLog(flags, async (log, output) => {
        const before = await log.counter(name).fetchAdd(flags.delta);
        const after = before + flags.delta;
        output.result({ before, after }, `${grouped(before)} -> ${grouped(after)}`);
        return "done";
      }),
    );

const takeCommand = (): Command =>
  objectCommand("take", "the next numbers, that nobody else gets")
    .argument("<name>", "of the counter")
    .option("--count <number>", "how many", wholeNumber({ min: 1 }), 1)
    .action((name: string, flags: ObjectFlags & { readonly count: number }) =>
      withLog(flags, async (log, output) => {
        const { first, last } = await log.counter(name).take(flags.count);
        output.result({ first, last }, first === last ? `${first}` : `${first} to ${last}`);
        return "done";
      }),
    );

const watchCounterCommand = (): Command =>
  watchCommand("what it becomes, each change on a line")
    .argument("<name>", "of the counter")
    .action((name: string, flags: WatchFlags) =>
      printWatch(
        flags,
        (log, options) => log.counter(name).watch(options),
        ({ value }) => ({ object: { value }, text: grouped(value) }),
      ),
    );
