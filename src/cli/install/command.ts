/** `tortie install`: its options and its help. */
import { command, dryRun } from "../definition.ts";
import { install, uninstall } from "./install.ts";

export const installCommand = command({
  path: "install",
  describe: "Put the plugins where the runtime looks for them, or take them away",
  long:
    "Links one executable under the names of all plugins, by rename: a runtime that starts one meanwhile finds the old or the new, whole. " +
    "Run it again to upgrade. Another's plugin of the same name is never replaced unless forced. The network configuration is written last " +
    "and removed first. --uninstall takes away what is Tortie's, and is refused while pods have attachments.",
  examples: [
    ["$0 install --conflist 10-calico.conflist", "the plugins, and a network that names them"],
    ["$0 install --keep", "beside the Go plugins: names that are theirs stay theirs"],
    ["$0 install --uninstall --dry-run", "what would be taken away?"],
  ],
  options: {
    "bin-dir": {
      type: "string",
      default: "/opt/cni/bin",
      describe: "where the runtime looks for executables",
      completes: "directory",
    },
    "conf-dir": {
      type: "string",
      default: "/etc/cni/net.d",
      describe: "where the runtime looks for network configuration",
      completes: "directory",
    },
    conflist: { type: "string", describe: "a network configuration to install", completes: "file" },
    from: {
      type: "string",
      defaultDescription: "beside this program",
      describe: "where the executables are",
      completes: "directory",
    },
    keep: { type: "boolean", describe: "leave names that are another's, install the rest", excludes: ["force"] },
    uninstall: {
      type: "boolean",
      describe: "take away what is ours: network configuration, then executables",
      excludes: ["conflist", "from", "keep"],
    },
    force: { type: "boolean", describe: "replace what is another's; uninstall while pods have attachments" },
    "dry-run": dryRun,
  },
  action: (cli, options) => {
    const directory = (path: string) => path.replace(/(?<=.)\/+$/, "");
    const { binDir, confDir, from } = options;
    const where = {
      ...options,
      binDir: directory(binDir),
      confDir: directory(confDir),
      from: from === undefined ? undefined : directory(from),
    };
    return options.uninstall === true ? uninstall(cli, where) : install(cli, where);
  },
});
