import type { Argument, Command, Option } from "commander";

/** A command as completion needs it. All of it comes from what commander was told: nothing is listed a second time. */
export interface CommandDescription {
  /** The words that lead to it: ["paxlog", "bench", "append"]. */
  readonly path: readonly string[];
  readonly description: string;
  readonly options: readonly OptionDescription[];
  /** What its arguments may be, in order. */
  readonly arguments: readonly ValueDescription[];
  readonly commands: readonly CommandDescription[];
}

export interface OptionDescription {
  /** As they are typed: ["-h", "--help"]. */
  readonly names: readonly string[];
  readonly description: string;
  /** Absent: the option stands alone. */
  readonly value?: ValueDescription;
  /** It may be given more than once. */
  readonly repeated: boolean;
}

/** What can be offered where a value stands; "free" is a value that only the user knows. */
export interface ValueDescription {
  readonly name: string;
  readonly kind: "words" | "directories" | "files" | "free";
  /** Empty unless `kind` is "words". */
  readonly words: readonly string[];
}

/** The command and all below it, without what help hides. */
export function describe(command: Command, parents: readonly string[] = []): CommandDescription {
  const path = [...parents, command.name()];
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  return {
    path,
    description: command.description(),
    options: help.visibleOptions(command).map(describeOption),
    arguments: command.registeredArguments.map(describeArgument),
    commands: commands.map((child) => {
      const described = describe(child, path);
      return child.name() === "help" ? { ...described, arguments: [namesOf(commands)] } : described;
    }),
  };
}

/** A command and all below it, itself first. */
export function withCommandsBelow(command: CommandDescription): CommandDescription[] {
  return [command, ...command.commands.flatMap(withCommandsBelow)];
}

export function nameOf(command: CommandDescription): string {
  return command.path.at(-1)!;
}

/** The word by which commander's own `help` command takes the name of another one. */
function namesOf(commands: readonly Command[]): ValueDescription {
  return { name: "command", kind: "words", words: commands.map((command) => command.name()) };
}

function describeOption(option: Option): OptionDescription {
  const takesValue = option.required || option.optional;
  return {
    names: [option.short, option.long].filter((name) => name !== undefined),
    description: option.description,
    ...(takesValue ? { value: describeValue(placeholderOf(option), option.argChoices) } : {}),
    // One that gathers its values begins with none of them.
    repeated: option.variadic || Array.isArray(option.defaultValue),
  };
}

function describeArgument(argument: Argument): ValueDescription {
  return describeValue(argument.name(), argument.argChoices);
}

function describeValue(name: string, choices: readonly string[] | undefined): ValueDescription {
  if (choices !== undefined) return { name, kind: "words", words: choices };
  return { name, kind: kindsByName[name] ?? "free", words: [] };
}

/** The two names of values that stand for a path, here and in every help text. */
const kindsByName: Readonly<Record<string, ValueDescription["kind"]>> = { dir: "directories", file: "files" };

/** "tags" of "--tag <tags...>". */
function placeholderOf(option: Option): string {
  return option.flags.match(/[<[]([^>\].]+)/)![1]!;
}
