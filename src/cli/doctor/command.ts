/** `tortie doctor`: its options and its help. */
import { command, dryRun } from "../definition.ts";
import { CliError, exitStatus } from "../error.ts";
import { defaultDirectories } from "../node/redirected-sys.ts";
import { doctorCommand as runDoctor } from "./doctor.ts";

export const doctorCommand = command({
  path: "doctor",
  describe: "Say what is wrong with this node, and mend it",
  long:
    "Looks at the kernel, the executables, the network configuration, the state, its locks, every attachment with all that belongs to it, " +
    "the firewall and the addresses, and asks for the way of pods' packets. Says of each thing that is wrong which command mends it. Changes nothing without --fix, and never " +
    "takes away what belongs to a sandbox that is there. Ends with 3 when something is wrong.",
  examples: [
    ["$0 doctor", "is anything wrong?"],
    ["$0 doctor --fix --dry-run", "what would be done about it?"],
    ["$0 doctor --fix", "do it, and look again"],
    ["$0 doctor --fix --only host-ports-different", "of this kind alone"],
    ["$0 doctor --verbose", "the commands that mend it, to be pasted"],
    ["$0 doctor -o json | jq -r '.findings[].remedy'", "for programs"],
  ],
  hides: ["run-dir", "state-dir"],
  options: {
    fix: { type: "boolean", describe: "mend what can be mended" },
    only: {
      type: "strings",
      describe: "with --fix: what has this id, and nothing else",
    },
    verbose: {
      type: "boolean",
      alias: "v",
      describe: "each command that mends something, and every line of what was done",
    },
    "dry-run": { ...dryRun, describe: `with --fix: ${dryRun.describe}` },
    "conf-dir": {
      type: "string",
      default: "/etc/cni/net.d",
      describe: "where the runtime looks for network configuration",
      completes: "directory",
    },
    "bin-dir": {
      type: "strings",
      default: ["/opt/cni/bin"],
      describe: "where the runtime looks for executables",
      completes: "directory",
    },
    grace: {
      type: "number",
      minimum: 0,
      default: 60,
      describe: "seconds for which something half-made may be an ADD that cannot be seen",
    },
    probe: {
      type: "boolean",
      describe: "send some packets from a few pods, which go no farther than the first router; --no-probe sends none",
      defaultDescription: "true",
    },
    output: {
      type: "string",
      alias: "o",
      choices: ["text", "json"],
      default: "text",
      describe: "for people, or for programs",
    },
  },
  action: (cli, options) => {
    const { confDir, binDir: binDirs, dryRun, grace: graceSeconds, fix, only, verbose, probe = true, output } = options;
    refuseDirectories(options);
    return runDoctor(cli, { confDir, binDirs, dryRun, graceSeconds, fix, only, verbose, probe, output });
  },
});

/** Plugins keep their state where they keep it: of another directory they know nothing. */
function refuseDirectories(options: object): void {
  const { runDir, stateDir } = options as { readonly runDir: string; readonly stateDir: string };
  if (runDir !== defaultDirectories.run || stateDir !== defaultDirectories.state) {
    throw new CliError("cannot run doctor: it is for the node, not for --run-dir or --state-dir", exitStatus.usage);
  }
}
