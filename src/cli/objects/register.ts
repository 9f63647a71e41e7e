import { Command } from "commander";
import type { RegisterOutcome } from "../../client/objects/handles.ts";
import {
  type ObjectFlags,
  objectCommand,
  printWatch,
  valueResult,
  type WatchFlags,
  watchCommand,
  withLog,
} from "./object-command.ts";

export function registerCommand(): Command {
  const command = new Command("register").description("one value under a name, with compare-and-set").addHelpText(
    "after",
    `
A comparison that does not hold writes nothing: exit code 8, and what was found is printed.

Examples:
  $ paxlog register set config '{"a":1}' --to 127.0.0.1:7101
  $ paxlog register swap config --expected '{"a":1}' --next '{"a":2}' --to 127.0.0.1:7101
  $ paxlog register once owner ada --to 127.0.0.1:7101`,
  );
  return command
    .addCommand(getCommand())
    .addCommand(setCommand())
    .addCommand(onceCommand())
    .addCommand(swapCommand())
    .addCommand(deleteCommand())
    .addCommand(watchRegisterCommand());
}

const getCommand = (): Command =>
  objectCommand("get", "its value and version")
    .argument("<name>", "of the register")
    .action((name: string, flags: ObjectFlags) =>
      withLog(flags, async (log, output) => {
        const { object, text } = valueResult(await log.register(name).get());
        output.result(object, text);
        return "done";
      }),
    );

const setCommand = (): Command =>
  objectCommand("set", "write it, whatever it was")
    .argument("<name>", "of the register")
    .argument("<value>", "what to write")
    .action((name: string, value: string, flags: ObjectFlags) =>
      withLog(flags, async (log, output) => {
        const { object, text } = valueResult(await log.register(name).set(value));
        output.result(object, text);
        return "done";
      }),
    );

const onceCommand = (): Command =>
  objectCommand("once", "write it unless it has a value")
    .argument("<name>", "of the register")
    .argument("<value>", "what to write")
    .action((name: string, value: string, flags: ObjectFlags) =>
      withLog(flags, async (log, output) => {
        const outcome = await log.register(name).writeOnce(value);
        output.result(...resultOf(outcome));
        return outcome.done ? "done" : "refused";
      }),
    );

interface SwapFlags extends ObjectFlags {
  readonly expected?: string;
  readonly next?: string;
}

const swapCommand = (): Command =>
  objectCommand("swap", "compare and set: write it if it is as expected")
    .argument("<name>", "of the register")
    .option("--expected <value>", "the value it must have; without it, there must be none")
    .option("--next <value>", "what to write; without it, the register is deleted")
    .action((name: string, flags: SwapFlags) =>
      withLog(flags, async (log, output) => {
        const outcome = await log.register(name).compareAndSet(flags.expected ?? null, flags.next ?? null);
        output.result(...resultOf(outcome));
        return outcome.done ? "done" : "refused";
      }),
    );

const deleteCommand = (): Command =>
  objectCommand("delete", "have no value under this name")
    .argument("<name>", "of the register")
    .action((name: string, flags: ObjectFlags) =>
      withLog(flags, async (log, output) => {
        const existed = await log.register(name).delete();
        output.result({ existed }, existed ? "deleted" : "(none)");
        return "done";
      }),
    );

const watchRegisterCommand = (): Command =>
  watchCommand("what it holds after each change, on a line each")
    .argument("<name>", "of the register")
    .action((name: string, flags: WatchFlags) =>
      printWatch(
        flags,
        (log, options) => log.register(name).watch(options),
        ({ value }) => valueResult(value),
      ),
    );

function resultOf({ done, now }: RegisterOutcome): [Record<string, unknown>, string] {
  const { object, text } = valueResult(now);
  return [{ done, ...object }, done ? text : `not as expected: ${text}`];
}
