import { type CommandDescription, nameOf, type ValueDescription, withCommandsBelow } from "./description.ts";

/** A script for bash 3.2 and later, and for whatever reads its completions. */
export function bashCompletion(root: CommandDescription): string {
  const all = withCommandsBelow(root);
  const below = all.slice(1).map((command) => JSON.stringify(command.path.join(" ")));
  return `# Completion of paxlog for bash, made by: paxlog completion bash
_paxlog() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD - 1]}"
  local command=paxlog word words="" options="" paths="" reply
  COMPREPLY=()
  # Readline makes words of their own of --option, = and value, and of host, : and port.
  if [[ $current == ":" || $previous == ":" ]]; then
    return
  elif [[ $current == "=" ]]; then
    current=""
  elif [[ $previous == "=" ]]; then
    previous="\${COMP_WORDS[COMP_CWORD - 2]}"
  fi
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$command $word" in
    ${below.join(" | ")}) command="$command $word" ;;
    esac
  done
  case "$command $previous" in
${valueCases(all).join("\n")}
  *)
    case "$command" in
${all.map(commandCase).join("\n")}
    esac
    # Options are offered where nothing else can stand, and to whoever begins one.
    if [[ $current == -* || -z "$words$paths" ]]; then
      words="$options" paths=""
    fi
    ;;
  esac
  if [[ -n $paths ]]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r reply; do COMPREPLY+=("$reply"); done < <(compgen "$paths" -- "$current")
  else
    while IFS= read -r reply; do COMPREPLY+=("$reply"); done < <(compgen -W "$words" -- "$current")
  fi
}
complete -F _paxlog paxlog
`;
}

/** A case for each thing that may follow an option, with all the options that it follows. */
function valueCases(commands: readonly CommandDescription[]): string[] {
  const optionsByAction = new Map<string, string[]>();
  for (const command of commands) {
    for (const { names, value } of command.options) {
      if (value === undefined) continue;
      const patterns = names.map((name) => JSON.stringify([...command.path, name].join(" ")));
      optionsByAction.set(actionOf(value), [...(optionsByAction.get(actionOf(value)) ?? []), ...patterns]);
    }
  }
  return [...optionsByAction].map(([action, patterns]) => `  ${patterns.join(" | ")}) ${action} ;;`);
}

function commandCase(command: CommandDescription): string {
  const options = command.options.flatMap((option) => option.names).join(" ");
  const names = command.commands.map(nameOf);
  const [argument] = command.arguments;
  const free = argument === undefined || argument.kind === "free";
  const action = names.length > 0 ? assignment("words", names) : free ? "" : actionOf(argument);
  return `    ${JSON.stringify(command.path.join(" "))}) options="${options}" ${action} ;;`;
}

function actionOf(value: ValueDescription): string {
  switch (value.kind) {
    case "words":
      return assignment("words", value.words);
    case "directories":
      return "paths=-d";
    case "files":
      return "paths=-f";
    case "free":
      return "return";
  }
}

function assignment(variable: string, words: readonly string[]): string {
  return `${variable}="${words.join(" ")}"`;
}
