/**
 * STATUS of our plugins, with their configurations: each reports whether it understands its own, and whether an ADD would work now.
 *
 * On a node that has never had a pod, STATUS creates /run/tortie. It then runs with a temporary /run.
 */
import { parseConf } from "../../../plugins/calico-ipam/conf.ts";
import { descriptor } from "../../../plugins/calico-ipam/descriptor.ts";
import { code } from "../../cni/error.ts";
import { nowNs } from "../../host/clock.ts";
import { runDir } from "../../identity/names.ts";
import { isExhausted } from "../../ipam/assign/room.ts";
import type { JsonObject } from "../../plugin/plugin.ts";
import type { Cli } from "../cli.ts";
import { messageOf } from "../error.ts";
import { readFiles } from "../store.ts";
import { type ExecutableFacts, isFaulty, networksOfOurs, ourExecutable, supportsVersion } from "./executables.ts";
import type { Finding, PluginCall } from "./finding.ts";
import { type NetworkFacts, type PluginConf, typesOf } from "./networks.ts";
import { commandLine, environmentOf, faultOfPlugin } from "./plugin-call.ts";

export interface ReadinessFact {
  /** The network's file. */
  readonly file: string;
  readonly type: string;
  /** The executables that it needs: its own and its IPAM plugin's. */
  readonly needs: readonly string[];
  readonly call: PluginCall;
  /** The error's code; 0 if there was no answer. */
  readonly code: number;
  readonly message: string;
  /** Whether its pools have no free address. */
  readonly isExhausted: boolean;
}

const patienceMs = 10_000;

/** Only the plugins that are not ready. */
export async function gatherReadiness(
  cli: Cli,
  networks: NetworkFacts,
  executables: ExecutableFacts,
): Promise<readonly ReadinessFact[]> {
  const isVirgin = cli.sys.stat(runDir) === undefined;
  const ours = networksOfOurs(networks, executables);
  const asked = networks.files.flatMap((file) =>
    file.fault === undefined && ours.includes(file.network)
      ? file.network.plugins.map((plugin) => ask(cli, file.path, plugin, executables, isVirgin))
      : [],
  );
  return (await Promise.all(asked)).flat();
}

async function ask(
  cli: Cli,
  file: string,
  plugin: PluginConf,
  executables: ExecutableFacts,
  isVirgin: boolean,
): Promise<readonly ReadinessFact[]> {
  const { type, document } = plugin;
  const needs = typesOf(plugin);
  const path = ourExecutable(executables, type);
  if (path === undefined) return [];
  // Older versions of the protocol have no STATUS, but the answer is valid for them too.
  const call = {
    path,
    command: "STATUS",
    pluginPath: executables.directories.join(":"),
    document: { ...document, cniVersion: "1.1.0" },
  } as const;
  const argv = isVirgin ? ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$0"', path] : [path];
  const options = { env: environmentOf(call), stdin: JSON.stringify(call.document), timeoutMs: patienceMs };
  try {
    const fault = faultOfPlugin(await cli.execute(argv, options));
    if (fault === undefined) return [];
    // An IPAM plugin older than 1.1.0 may answer anything to STATUS.
    const knowsStatus = needs.every((name) => supportsVersion(executables, name, "1.1.0"));
    if (!knowsStatus && !ofTheDocument.includes(fault.code)) return [];
    const isShort = fault.code === code.pluginNotAvailable && needs.includes(calicoIpam) && areShort(cli, document);
    return [{ file, type, needs, call, ...fault, isExhausted: isShort }];
  } catch (error) {
    return [{ file, type, needs, call, code: 0, message: messageOf(error), isExhausted: false }];
  }
}

/** Asks the datastore whether the pools of this configuration have a free address, because an answer to STATUS is only text. */
function areShort(cli: Cli, document: JsonObject): boolean {
  try {
    return readFiles(cli, isExhausted(parseConf(document).requestsOfPod.wanted, cli.node, nowNs(cli.sys)));
  } catch {
    // The configuration or the datastore is faulty, which STATUS reports.
    return false;
  }
}

const calicoIpam = descriptor.name;

/** Codes for an invalid document (specification 1.1.0; 2 also for a key that we do not support). */
const ofTheDocument = [1, 2, 6, 7];

/** Problems that prevent ADD and are reported already. */
export interface KnownFaults {
  /** Plugins that need a feature that the kernel does not have. */
  readonly plugins: ReadonlySet<string>;
  readonly executables: ExecutableFacts;
}

export function checkReadiness(facts: readonly ReadinessFact[], known: KnownFaults): readonly Finding[] {
  return facts.flatMap(({ file, type, needs, call, code, message, isExhausted }): readonly Finding[] => {
    if (needs.some((name) => isFaulty(known.executables, name))) return [];
    const finding = { section: "networks", severity: "error", subject: `${file} ${type}` } as const;
    if (ofTheDocument.includes(code)) {
      const text = `is rejected by the plugin: ${message}: ADD fails`;
      return [{ ...finding, id: "network-refused", text, remedy: `# change ${file} as the message says` }];
    }
    if (known.plugins.has(type)) return [];
    const text = `is not ready: ${message}: an ADD would fail now`;
    return [{ ...finding, id: "plugin-not-ready", text, remedy: remedyOf(isExhausted, call) }];
  });
}

function remedyOf(isShort: boolean, call: PluginCall): string {
  if (isShort) {
    return "tortie ipam check; tortie ipam show --show-blocks   # then release leaked addresses, or apply another pool";
  }
  return `# resolve what the message says; this tests it again:\n${commandLine(call)}`;
}
