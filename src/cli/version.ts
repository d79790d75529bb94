/** `tortie version`. */
import type { CommandModule } from "yargs";
import { commit, version } from "../plugin/build-info.ts";
import { command } from "./command.ts";
import { exitStatus } from "./error.ts";
import type { Run } from "./program.ts";

export function versionCommand(run: Run): CommandModule {
  return command(run, {
    path: "version",
    describe: "Print the version",
    long: "The version of this command and the commit that it was built from. Plugins tell theirs by --version.",
    examples: [["$0 version", "which one is this?"]],
    options: (yargs) => yargs,
    action: (cli) => {
      cli.out(`Client Version:   ${version}\nGit commit:       ${commit}\n`);
      return exitStatus.done;
    },
  });
}
