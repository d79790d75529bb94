/**
 * `tortie completion`: scripts that complete command lines in bash, zsh and fish.
 *
 * A script contains every fixed word, so Tab starts no process, except for names of resources, which come from `tortie get <kind> -o name`.
 */
import { type Command, command } from "../definition.ts";
import { exitStatus } from "../error.ts";
import { fishScript } from "./fish.ts";
import { bashScript, zshScript } from "./posix-shells.ts";
import { type Shell, shells, type Vocabulary, vocabularyOf } from "./vocabulary.ts";

const scripts: Readonly<Record<Shell, (vocabulary: Vocabulary) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/** `others`: the commands to complete beside this one. */
export function completionCommand(others: readonly Command[], groups: Readonly<Record<string, string>>): Command {
  const own = command({
    path: "completion",
    describe: "Print a completion script for a shell",
    long:
      "Completes commands, options, kinds and the names of resources. To keep it, write it to the file that the shell loads: " +
      "/etc/bash_completion.d/tortie, /usr/local/share/zsh/site-functions/_tortie, /etc/fish/completions/tortie.fish.",
    examples: [
      ["$0 completion fish | source", "in this shell, fish"],
      ["source <($0 completion bash)", "in this one, or in ~/.bashrc"],
      ["source <($0 completion zsh)", "the same, for zsh"],
    ],
    positionals: {
      shell: { type: "string", choices: shells, describe: "bash without", completes: "shell" },
    },
    hides: ["config"],
    action: (cli, { shell }) => {
      cli.out(scripts[shell ?? "bash"](vocabularyOf([...others, own], groups)));
      return exitStatus.done;
    },
  });
  return own;
}
