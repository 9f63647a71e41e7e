import { Command } from "commander";
import type { Keys, SpaceEntry } from "../../client/objects/handles.ts";
import { wholeNumber } from "../arguments.ts";
import { bytesField } from "../output.ts";
import {
  type ObjectFlags,
  objectCommand,
  printWatch,
  type WatchFlags,
  watchCommand,
  withLog,
} from "./object-command.ts";

export function spaceCommand(): Command {
  const command = new Command("space").description("keys with values, in order").addHelpText(
    "after",
    `
Keys that begin alike are named by --prefix. A watch goes on until it is interrupted; it begins behind everything that is there, or at
a position (--from).

Examples:
  $ paxlog space put color/sky blue --to 127.0.0.1:7101
  $ paxlog space list color/ --prefix --to 127.0.0.1:7101 --json
  $ paxlog space watch color/ --prefix --to 127.0.0.1:7101`,
  );
  return command
    .addCommand(putCommand())
    .addCommand(listCommand())
    .addCommand(deleteCommand())
    .addCommand(watchKeysCommand());
}

interface KeyFlags extends ObjectFlags {
  readonly prefix?: true;
}

const keysOf = (key: string, { prefix }: KeyFlags): Keys => (prefix === true ? { prefix: key } : key);

const prefixOption = ["--prefix", "every key that begins with it"] as const;

const putCommand = (): Command =>
  objectCommand("put", "write a key")
    .argument("<key>", "at most 1,024 bytes")
    .argument("<value>", "what to write")
    .action((key: string, value: string, flags: ObjectFlags) =>
      withLog(flags, async (log, output) => {
        const version = await log.space().put(key, value);
        output.result({ version }, `version ${version}`);
        return "done";
      }),
    );

const listCommand = (): Command =>
  objectCommand("list", "the key, or all that begin with it, each on a line")
    .argument("<key>", "a key, or what keys begin with")
    .option(...prefixOption)
    .option("--limit <count>", "at most so many", wholeNumber({ min: 1 }))
    .action((key: string, flags: KeyFlags & { readonly limit?: number }) =>
      withLog(flags, async (log, output) => {
        const { entries, more } = await log.space().range(keysOf(key, flags), { limit: flags.limit });
        for (const entry of entries) output.result(entryObject(entry), `${entry.key}\t${entry.text()}`);
        if (more) output.note("there are more: list the rest by longer prefixes");
        return "done";
      }),
    );

const deleteCommand = (): Command =>
  objectCommand("delete", "delete the key, or all that begin with it; prints how many went")
    .argument("<key>", "a key, or what keys begin with")
    .option(...prefixOption)
    .action((key: string, flags: KeyFlags) =>
      withLog(flags, async (log, output) => {
        const deleted = await log.space().delete(keysOf(key, flags));
        output.result({ deleted }, `${deleted}`);
        return "done";
      }),
    );

const watchKeysCommand = (): Command =>
  watchCommand("what happens to it, each change on a line")
    .argument("<key>", "a key, or what keys begin with")
    .option(...prefixOption)
    .action((key: string, flags: KeyFlags & WatchFlags) =>
      printWatch(
        flags,
        (log, options) => log.space().watch(keysOf(key, flags), options),
        ({ keyBytes, key: text, entry }) =>
          entry === undefined
            ? { object: { ...bytesField("key", keyBytes), deleted: true }, text: `${text}\t(deleted)` }
            : { object: entryObject(entry), text: `${text}\t${entry.text()}` },
      ),
    );

function entryObject({ keyBytes, value, version, created, writes, session }: SpaceEntry): Record<string, unknown> {
  const bound = session === undefined ? {} : { session };
  return { ...bytesField("key", keyBytes), ...bytesField("value", value), version, created, writes, ...bound };
}
