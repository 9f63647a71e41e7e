import {
  type CommandDescription,
  nameOf,
  type OptionDescription,
  type ValueDescription,
  withCommandsBelow,
} from "./description.ts";

/** A script that can be sourced, and that can stand as `_paxlog` in a folder of $fpath. */
export function zshCompletion(root: CommandDescription): string {
  return `#compdef paxlog
# Completion of paxlog for zsh, made by: paxlog completion zsh

${withCommandsBelow(root).map(functionOf).join("\n")}
if [[ $funcstack[1] == _paxlog ]]; then
  _paxlog "$@"
else
  compdef _paxlog paxlog
fi
`;
}

function functionOf(command: CommandDescription): string {
  const options = command.options.map(optionSpecification);
  if (command.commands.length === 0) {
    const values = command.arguments.map((value, index) => quote(`${index + 1}${valueSpecification(value)}`));
    return `${functionName(command)}() {
  _arguments \\
    ${[...options, ...values].join(" \\\n    ")}
}
`;
  }
  return `${functionName(command)}() {
  local curcontext="$curcontext" context state line
  typeset -A opt_args
  _arguments -C \\
    ${[...options, "'1:command:->command'", "'*::argument:->argument'"].join(" \\\n    ")}
  case $state in
    command)
      local -a commands=(
        ${command.commands.map(commandSpecification).join("\n        ")}
      )
      _describe command commands
      ;;
    argument)
      case $words[1] in
        ${command.commands.map((child) => `${nameOf(child)}) ${functionName(child)} ;;`).join("\n        ")}
      esac
      ;;
  esac
}
`;
}

function functionName(command: CommandDescription): string {
  return `_${command.path.join("_")}`;
}

function commandSpecification(command: CommandDescription): string {
  return quote(`${nameOf(command)}:${command.description}`);
}

/** `'(-h --help)'{-h,--help}'[...]'`: names of one option exclude each other, unless it may be repeated. */
function optionSpecification(option: OptionDescription): string {
  const { names, description, value, repeated } = option;
  const rest = `[${description.replaceAll(/[\\[\]]/g, "\\$&")}]${value === undefined ? "" : valueSpecification(value)}`;
  const typed = names.map((name) => (value !== undefined && name.startsWith("--") ? `${name}=` : name));
  const exclusion = repeated ? "*" : names.length > 1 ? `(${names.join(" ")})` : "";
  if (typed.length === 1) return quote(`${exclusion}${typed[0]}${rest}`);
  return `${quote(exclusion)}{${typed.join(",")}}${quote(rest)}`;
}

function valueSpecification(value: ValueDescription): string {
  return `:${value.name}:${actionOf(value)}`;
}

function actionOf(value: ValueDescription): string {
  switch (value.kind) {
    case "words":
      return `(${value.words.join(" ")})`;
    case "directories":
      return "_files -/";
    case "files":
      return "_files";
    case "free":
      return " ";
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
