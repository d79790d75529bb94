/** The options that every command has. */
import { defaultConfigFile } from "./calicoctl-settings.ts";
import type { OptionDefinitions } from "./definition.ts";
import { defaultDirectories } from "./node/redirected-sys.ts";

/** With the defaults that the environment sets. */
export function generalOptions(environment: Readonly<Record<string, string | undefined>>): OptionDefinitions {
  const { TORTIE_RUN_DIR, TORTIE_STATE_DIR, TORTIE_NODENAME } = environment;
  return {
    config: {
      type: "string",
      alias: "c",
      group: "Datastore:",
      default: defaultConfigFile,
      describe:
        "calicoctl's configuration file; without it DATASTORE_TYPE, KUBECONFIG or ETCD_ENDPOINTS, or this node's files",
      completes: "file",
    },
    "run-dir": {
      type: "string",
      group: "Node:",
      default: TORTIE_RUN_DIR || defaultDirectories.run,
      describe: "allocations and endpoints (TORTIE_RUN_DIR)",
      completes: "directory",
    },
    "state-dir": {
      type: "string",
      group: "Node:",
      default: TORTIE_STATE_DIR || defaultDirectories.state,
      describe: "pools and settings (TORTIE_STATE_DIR)",
      completes: "directory",
    },
    node: {
      type: "string",
      group: "Node:",
      ...(TORTIE_NODENAME ? { default: TORTIE_NODENAME } : {}),
      defaultDescription: "as in the plugins",
      describe: "this node's name (TORTIE_NODENAME)",
    },
    "log-level": {
      type: "string",
      choices: ["debug", "info", "warn", "error", "silent"],
      default: "warn",
      describe: "log to stderr",
    },
  };
}
