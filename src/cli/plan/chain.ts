/**
 * The plans of a chain: each plugin plans its ADD, with the result of the plugin before it, as libcni passes it on (specification, section 3).
 */
import { parseConf as parseIpam } from "../../../plugins/calico-ipam/conf.ts";
import { type AddressFacts, planAddresses } from "../../../plugins/calico-ipam/plan.ts";
import { parseDocument } from "../../cni/document.ts";
import type { IpConfig, Result } from "../../cni/result.ts";
import { type CniVersion, supportedVersions } from "../../cni/version.ts";
import { addressAt, hostPrefix, maskPrefix } from "../../net/prefix.ts";
import { resultText } from "../../plugin/answer.ts";
import type { Planned } from "../../plugin/planned.ts";
import type { Context, JsonObject } from "../../plugin/plugin.ts";
import { addRequest, readCommon, type Source } from "../../plugin/request.ts";
import { isObject } from "../../schema/schema.ts";
import { CliError } from "../error.ts";
import { planners } from "./planners.ts";
import type { PlannedPod } from "./pod.ts";

export interface PluginPlan {
  readonly type: string;
  /** `undefined` for a foreign plugin. */
  readonly planned: Planned | undefined;
}

export interface ChainOptions {
  readonly pod: PlannedPod;
  readonly containerId: string;
  readonly ifname: string;
  /** Facts about the node; its `sys` does not write. */
  readonly facts: AddressFacts;
}

/** `list`: a conflist, or a single plugin. Throws the same errors as ADD. */
export function planChain(list: JsonObject, options: ChainOptions): readonly PluginPlan[] {
  const plugins = (Array.isArray(list.plugins) ? list.plugins : [list]) as readonly JsonObject[];
  let result: Result | undefined;
  return plugins.map((plugin): PluginPlan => {
    const type = String(plugin.type);
    const planner = planners[type];
    if (planner === undefined) return { type, planned: undefined };
    const source = sourceOf(documentOf(list, plugin, options.pod, result), options);
    const ipam = result === undefined && isObject(plugin.ipam) ? ipamResult(source, plugin.ipam, options) : {};
    const { sys, networks } = options.facts;
    const own = networks.addresses.map(({ address }) => maskPrefix(address));
    const planned = planner(source, { sys, networks: own, ipam });
    result = planned.result;
    return { type, planned };
  });
}

/** A placeholder for the sandbox's path in results; commands use `$CNI_NETNS`. */
const netns = "/run/netns/planned";

function sourceOf(document: JsonObject, { pod, containerId, ifname }: ChainOptions): Source {
  const parsed = parseDocument(JSON.stringify(document));
  const { namespace, name, addresses } = pod;
  const args = [
    ["IgnoreUnknown", "1"],
    ["K8S_POD_NAMESPACE", namespace],
    ["K8S_POD_NAME", name],
    ...(addresses.length > 0 ? [["IP", addresses.join(",")]] : []),
  ];
  const environment = {
    command: "ADD",
    containerId,
    netns,
    ifname,
    args: args.map((pair) => pair.join("=")).join(";"),
    path: "",
    netnsOverride: false,
    traceparent: "",
  };
  return { environment, document: parsed, common: readCommon(environment, parsed, "ADD"), log: silent };
}

/** The document on a plugin's standard input (libcni/api.go, `buildOneConfig` and `injectRuntimeConfig`). */
function documentOf(
  list: JsonObject,
  plugin: JsonObject,
  { capabilities }: PlannedPod,
  result: Result | undefined,
): JsonObject {
  const version = versionIn(list);
  const declared = isObject(plugin.capabilities) ? plugin.capabilities : {};
  const runtimeConfig = Object.fromEntries(Object.entries(capabilities).filter(([name]) => declared[name] === true));
  return {
    ...plugin,
    name: list.name,
    cniVersion: version,
    ...(Object.keys(runtimeConfig).length > 0 && { runtimeConfig }),
    ...(result !== undefined && { prevResult: JSON.parse(resultText(result, version)) as unknown }),
  };
}

/** The newest version that the list offers and the plugins support. */
function versionIn({ cniVersion, cniVersions }: JsonObject): CniVersion {
  const offered: readonly unknown[] = [cniVersion, ...(Array.isArray(cniVersions) ? cniVersions : [])];
  return [...supportedVersions].reverse().find((version) => offered.includes(version)) ?? "0.1.0";
}

/** The requested addresses, or those that `calico-ipam` would assign now. */
function ipamResult(source: Source, ipam: JsonObject, { pod, facts }: ChainOptions): Result {
  if (ipam.type === "calico-ipam") return planAddresses(addRequest(source, parseIpam), facts);
  if (pod.addresses.length > 0) {
    const ips = pod.addresses.map((address) => asAnswered(withLength(address), ipam.type));
    return { ips, ...(Array.isArray(ipam.routes) && { routes: ipam.routes }) };
  }
  throw new CliError(
    `cannot plan: only the IPAM plugin "${String(ipam.type)}" knows the pod's address; name it with --address`,
  );
}

/** host-local's default gateway: the first address of the subnet. */
function asAnswered(address: string, type: unknown): IpConfig {
  const subnet = maskPrefix(address);
  return type === "host-local" && subnet !== address ? { address, gateway: addressAt(subnet, 1n) } : { address };
}

function withLength(address: string): string {
  return address.includes("/") ? address : hostPrefix(address);
}

/** Plans do not log. */
const silent: Context["log"] = {
  with: () => silent,
  debug: () => {},
  info: () => {},
  warning: () => {},
  error: () => {},
};
