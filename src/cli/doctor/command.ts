/** `tortie doctor`: its options and its help. */
import { command, dryRun } from "../definition.ts";
import { CliError, exitStatus } from "../error.ts";
import { defaultDirectories } from "../node/redirected-sys.ts";
import { doctorCommand as runDoctor } from "./doctor.ts";

export const doctorCommand = command({
  path: "doctor",
  describe: "Find problems of this node, and repair them",
  long:
    "Checks the kernel, the executables, the network configuration, the state, its locks, every attachment with all its objects, " +
    "the firewall and the addresses, and the paths of packets. Prints the command that resolves each problem. Changes nothing without --fix, and never " +
    "removes objects of a live sandbox. Exits with 3 if there is a problem.",
  examples: [
    ["$0 doctor", "find problems"],
    ["$0 doctor --fix --dry-run", "show what --fix would do"],
    ["$0 doctor --fix", "repair, and check again"],
    ["$0 doctor --fix --only host-ports-different", "repair only this kind of problem"],
    ["$0 doctor --verbose", "print the commands that resolve each problem"],
    ["$0 doctor -o json | jq -r '.findings[].remedy'", "for programs"],
  ],
  hides: ["config", "run-dir", "state-dir"],
  options: {
    fix: { type: "boolean", describe: "repair what can be repaired" },
    only: {
      type: "strings",
      describe: "with --fix: only problems with this id",
    },
    verbose: {
      type: "boolean",
      alias: "v",
      describe: "print each command that resolves a problem, and every line of output",
    },
    "dry-run": { ...dryRun, describe: `with --fix: ${dryRun.describe}` },
    "conf-dir": {
      type: "string",
      default: "/etc/cni/net.d",
      describe: "the runtime's directory of network configurations",
      completes: "directory",
    },
    "bin-dir": {
      type: "strings",
      default: ["/opt/cni/bin"],
      describe: "the runtime's directory of executables",
      completes: "directory",
    },
    grace: {
      type: "number",
      minimum: 0,
      default: 60,
      describe: "seconds in which an incomplete attachment may belong to an ADD that is not visible",
    },
    probe: {
      type: "boolean",
      describe: "send a few packets from a few pods, no farther than the first router; --no-probe sends none",
      defaultDescription: "true",
    },
    output: {
      type: "string",
      alias: "o",
      choices: ["text", "json"],
      default: "text",
      describe: "output format",
    },
  },
  action: (cli, options) => {
    const { confDir, binDir: binDirs, dryRun, grace: graceSeconds, fix, only, verbose, probe = true, output } = options;
    refuseDirectories(options);
    return runDoctor(cli, { confDir, binDirs, dryRun, graceSeconds, fix, only, verbose, probe, output });
  },
});

/** Plugins keep their state in fixed directories, so these options make no sense here. */
function refuseDirectories(options: object): void {
  const { runDir, stateDir } = options as { readonly runDir: string; readonly stateDir: string };
  if (runDir !== defaultDirectories.run || stateDir !== defaultDirectories.state) {
    throw new CliError(
      "cannot run doctor: it checks the node itself, and does not accept --run-dir or --state-dir",
      exitStatus.usage,
    );
  }
}
