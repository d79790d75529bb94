/** `tortie validate` of a network configuration: one line per finding. */

import { usesAgent } from "../../plugin/node-agent.ts";
import { isObject } from "../../schema/schema.ts";
import type { Cli } from "../cli.ts";
import type { Input } from "../resources/input-files.ts";
import { jsonFault } from "../resources/json-fault.ts";
import { lintNamedPools } from "./named-pools.ts";
import { isNetwork, lintNetwork } from "./network.ts";

/** The document of a network configuration; `undefined` for any other text. Runtimes read only JSON. */
export function networkIn({
  text,
  path,
}: Input): { readonly document: unknown } | { readonly fault: string } | undefined {
  const isNamed = path !== undefined && /\.(conf|conflist)$/.test(path);
  try {
    const document: unknown = JSON.parse(text);
    return isNamed || isNetwork(document) ? { document } : undefined;
  } catch (error) {
    return isNamed ? { fault: `it is not JSON: ${jsonFault(text) ?? (error as Error).message}` } : undefined;
  }
}

/** What a cluster's conflist needs in addition. */
const clusterParts = "tortie-node on this node, and the cluster's pools; network policies are not enforced";

function isOfCluster(document: unknown): boolean {
  const { plugins = [document] } = document as { readonly plugins?: unknown };
  return Array.isArray(plugins) && plugins.some((plugin) => isObject(plugin) && usesAgent(plugin));
}

/** Returns whether it is valid. */
export function validateNetwork(
  cli: Cli,
  { source }: Input,
  network: NonNullable<ReturnType<typeof networkIn>>,
): boolean {
  const refuse = (reason: string) => cli.note(`tortie: cannot validate ${source}: ${reason}`);
  if ("fault" in network) {
    refuse(network.fault);
    return false;
  }
  const { findings: own, unchecked } = lintNetwork(network.document);
  // The pools are checked only if the configuration itself is valid.
  const findings = own.length > 0 ? own : lintNamedPools(cli, network.document as Readonly<Record<string, unknown>>);
  for (const { path, text } of findings) refuse(path === "" ? text : `${path}: ${text}`);
  const name = JSON.stringify((network.document as { readonly name?: unknown }).name);
  const others =
    unchecked.length === 0 ? "" : `; not checked, because the plugins are foreign: ${unchecked.join(", ")}`;
  const ofCluster = isOfCluster(network.document) ? `; not checked: ${clusterParts}` : "";
  if (findings.length === 0) cli.out(`network ${name} valid${others}${ofCluster}\n`);
  else if (unchecked.length > 0)
    cli.note(`tortie: not checked in ${source}, because the plugins are foreign: ${unchecked.join(", ")}`);
  return findings.length === 0;
}
