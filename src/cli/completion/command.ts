import { Argument, Command } from "commander";
import { Output } from "../output.ts";
import { bashCompletion } from "./bash.ts";
import { type CommandDescription, describe } from "./description.ts";
import { fishCompletion } from "./fish.ts";
import { zshCompletion } from "./zsh.ts";

const scripts = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const satisfies Readonly<
  Record<string, (root: CommandDescription) => string>
>;

export function completionCommand(): Command {
  return new Command("completion")
    .description("print a script that completes commands, options and values in a shell")
    .addArgument(new Argument("<shell>", "the shell it is for").choices(Object.keys(scripts)))
    .addHelpText(
      "after",
      `
The script holds this release's commands and options: print it again after an update.

Examples:
  $ source <(paxlog completion bash)                                          # in ~/.bashrc
  $ source <(paxlog completion zsh)                                           # in ~/.zshrc, behind compinit
  $ paxlog completion fish > ~/.config/fish/completions/paxlog.fish`,
    )
    .action((shell: keyof typeof scripts, _options: unknown, command: Command) => {
      new Output(false).write(scripts[shell](describe(command.parent!)).trimEnd());
    });
}
