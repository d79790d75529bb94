/** `tortie version`. */
import { commit, version } from "../plugin/build-info.ts";
import { command } from "./definition.ts";
import { exitStatus } from "./error.ts";

export const versionCommand = command({
  path: "version",
  describe: "Print the version",
  long: "The version of this command and the commit that it was built from. Plugins print theirs with --version.",
  examples: [["$0 version", "the version of this command"]],
  hides: ["config"],
  action: (cli) => {
    cli.out(`Client Version:   ${version}\nGit commit:       ${commit}\n`);
    return exitStatus.done;
  },
});
