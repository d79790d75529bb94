/** Lists what uninstalling leaves on the node, so that an administrator can remove it. */
import { runDir, stateDir } from "../../identity/names.ts";
import type { Cli } from "../cli.ts";
import { readNetwork } from "../doctor/networks.ts";
import { listed } from "../ui/listed.ts";

/** The first pod of a family turns it on. Another program may rely on it by now, so uninstalling leaves it on. */
const forwarding = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"];

/** Empty if nothing stays. Must run before the configurations are removed, because they name the log file. */
export function describeRemains(cli: Cli, conflists: readonly string[]): string {
  const { sys } = cli;
  const logs = new Set(conflists.flatMap((path) => logsOf(cli, path)));
  const on = forwarding.filter((path) => readSysctl(cli, path) === "1").map((path) => path.replaceAll("/", "."));
  const kept = [
    [runDir, "until the next boot"],
    [stateDir, "pools and settings"],
    ...[...logs].map((path) => [path, "the log"] as const),
  ] as const;
  return listed([
    ...kept.filter(([path]) => sys.stat(path) !== undefined).map(([path, what]) => `${path} (${what})`),
    ...(on.length === 0 ? [] : [`${listed(on)} = 1 (pods needed ${on.length === 1 ? "it" : "them"}, others may)`]),
  ]);
}

function logsOf(cli: Cli, path: string): readonly string[] {
  const file = readNetwork(cli, path);
  if (file.fault !== undefined) return [];
  return file.network.plugins.flatMap(({ document: { log_file_path: log } }) => (typeof log === "string" ? [log] : []));
}

function readSysctl({ sys }: Cli, path: string): string | undefined {
  try {
    return sys.readFile(`/proc/sys/${path}`).trim();
  } catch {
    // A kernel without the family has no such file.
    return undefined;
  }
}
