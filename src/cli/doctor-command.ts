/** `tortie doctor`: its options and its help. */
import type { CommandModule } from "yargs";
import { command } from "./command.ts";
import { doctorCommand as runDoctor } from "./doctor/doctor.ts";
import { CliError, exitStatus } from "./error.ts";
import type { Run } from "./program.ts";
import { defaultFolders } from "./redirected-sys.ts";

export function doctorCommand(run: Run): CommandModule {
  return command(run, {
    path: "doctor",
    describe: "Say what is wrong with this node, and mend it",
    long:
      "Looks at the kernel, the executables, the network configuration, the state, its locks, every attachment with all that belongs to it, " +
      "the firewall and the addresses. Says of each thing that is wrong which command mends it. Changes nothing without --fix, and never " +
      "takes away what belongs to a sandbox that is there. Ends with 3 when something is wrong.",
    examples: [
      ["$0 doctor", "is anything wrong?"],
      ["$0 doctor --fix --dry-run", "what would be done about it?"],
      ["$0 doctor --fix", "do it, and look again"],
      ["$0 doctor -o json | jq -r '.findings[].remedy'", "for programs"],
    ],
    options: (yargs) =>
      yargs
        .hide("run-dir")
        .hide("state-dir")
        .option("fix", { type: "boolean", describe: "mend what can be mended" })
        .option("dry-run", { type: "boolean", describe: "with --fix: tell what would be done, and do nothing" })
        .option("conf-dir", {
          type: "string",
          default: "/etc/cni/net.d",
          describe: "where the runtime looks for network configuration",
        })
        .option("bin-dir", {
          type: "string",
          array: true,
          nargs: 1,
          default: ["/opt/cni/bin"],
          describe: "where the runtime looks for executables",
        })
        .option("grace", {
          type: "number",
          default: 60,
          describe: "seconds for which something half-made may be an ADD that cannot be seen",
        })
        .option("output", {
          alias: "o",
          choices: ["text", "json"] as const,
          default: "text" as const,
          describe: "for people, or for programs",
        }),
    action: (cli, options) => {
      const { "conf-dir": confDir, "bin-dir": binDirs, "dry-run": dryRun, grace, fix, output } = options;
      refuse(options as Folders, grace);
      return runDoctor(cli, { confDir, binDirs, dryRun, graceSeconds: grace, fix, output });
    },
  });
}

/** Options that every command has. */
interface Folders {
  readonly runDir?: string;
  readonly stateDir?: string;
}

/** Plugins keep their state where they keep it: of another folder they know nothing. */
function refuse({ runDir = defaultFolders.run, stateDir = defaultFolders.state }: Folders, grace: number): void {
  if (runDir !== defaultFolders.run || stateDir !== defaultFolders.state) {
    throw new CliError("cannot run doctor: it is for the node, not for --run-dir or --state-dir", exitStatus.usage);
  }
  if (!(grace >= 0)) throw new CliError("cannot run doctor: --grace wants a number of seconds", exitStatus.usage);
}
