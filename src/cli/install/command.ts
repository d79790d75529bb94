/** `tortie install`: its options and its help. */
import { command, dryRun } from "../definition.ts";
import { install, uninstall } from "./install.ts";

export const installCommand = command({
  path: "install",
  describe: "Install the plugins and a network configuration, or uninstall them",
  long:
    "Links one executable under the names of all plugins, by renaming, so that a runtime always finds either the old file or the new one. " +
    "Run it again to upgrade. It replaces a foreign plugin of the same name only with --force. It writes the network configuration last " +
    "and removes it first. Without --conflist it installs what the environment of Calico's installer describes (CNI_NETWORK_CONFIG or " +
    "CNI_NETWORK_CONFIG_FILE, CNI_CONF_NAME), if it does. --uninstall removes Tortie's files; it fails while pods have attachments.",
  examples: [
    ["$0 install --conflist 10-calico.conflist", "the plugins and a network configuration"],
    ["$0 install --keep", "keep the Go plugins"],
    ["$0 install --uninstall --dry-run", "what would be removed"],
  ],
  options: {
    "bin-dir": {
      type: "string",
      default: "/opt/cni/bin",
      describe: "the runtime's directory of executables",
      completes: "directory",
    },
    "conf-dir": {
      type: "string",
      default: "/etc/cni/net.d",
      describe: "the runtime's directory of network configurations",
      completes: "directory",
    },
    conflist: { type: "string", describe: "a network configuration to install", completes: "file" },
    from: {
      type: "string",
      defaultDescription: "beside this command",
      describe: "directory of the executables to install",
      completes: "directory",
    },
    keep: { type: "boolean", describe: "keep foreign plugins, install the rest", excludes: ["force"] },
    uninstall: {
      type: "boolean",
      describe: "remove network configurations with our plugins, then our executables",
      excludes: ["conflist", "from", "keep"],
    },
    force: { type: "boolean", describe: "replace foreign files; uninstall while pods have attachments" },
    "dry-run": dryRun,
  },
  hides: ["config"],
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
