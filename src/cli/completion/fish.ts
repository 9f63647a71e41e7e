import {
  type CommandDescription,
  nameOf,
  type OptionDescription,
  type ValueDescription,
  withCommandsBelow,
} from "./description.ts";

export function fishCompletion(root: CommandDescription): string {
  const all = withCommandsBelow(root);
  const below = all.slice(1).map((command) => quote(command.path.join(" ")));
  return `# Completion of paxlog for fish, made by: paxlog completion fish

function __paxlog_at --description 'Whether what is typed so far leads to this command'
    set -l command paxlog
    for word in (commandline -opc)[2..-1]
        switch "$command $word"
            case ${below.join(" ")}
                set command "$command $word"
        end
    end
    test "$command" = "$argv"
end

complete -c paxlog -f
${all.flatMap(linesOf).join("\n")}
`;
}

function linesOf(command: CommandDescription): string[] {
  const at = `complete -c paxlog -n ${quote(`__paxlog_at ${command.path.join(" ")}`)}`;
  const [argument] = command.arguments;
  return [
    ...command.commands.map((child) => `${at} -a ${nameOf(child)} -d ${quote(child.description)}`),
    ...(argument === undefined || argument.kind === "free" ? [] : [`${at} ${actionOf(argument)}`]),
    ...command.options.map((option) => `${at} ${optionWords(option)}`),
  ];
}

function optionWords({ names, value, description }: OptionDescription): string {
  const typed = names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const action = value === undefined ? [] : ["-r", actionOf(value)];
  return [...typed, ...action, "-d", quote(description)].join(" ");
}

function actionOf(value: ValueDescription): string {
  switch (value.kind) {
    case "words":
      return `-f -a ${quote(value.words.join(" "))}`;
    case "directories":
      return "-f -a '(__fish_complete_directories)'";
    case "files":
      return "-F";
    case "free":
      return "-f";
  }
}

function quote(text: string): string {
  return `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
}
