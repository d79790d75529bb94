/**
 * The chain of plugins that created an attachment, and the request of each.
 *
 *     plugins and their order    libcni's cache, otherwise the network's configuration, otherwise the parts of the record
 *     request of each            its part of the record; for foreign plugins libcni's cache, or a configuration that uses nothing from
 *                                the runtime
 *
 * A plugin of ours without a part had nothing to do. Attachments that an earlier release created have no parts.
 */

import { descriptors } from "#plugins/descriptors";
import { resultAs } from "../../cni/convert.ts";
import type { Result } from "../../cni/result.ts";
import { type CniVersion, supportedVersions } from "../../cni/version.ts";
import type { Part } from "../../endpoint/part.ts";
import { type ExecutableFacts, isFaulty, ourExecutable, suite } from "./executables.ts";
import type { PluginCall } from "./finding.ts";
import { type NetworkFacts, networkNamed, ourNames, type PluginConf } from "./networks.ts";
import type { Trace } from "./sandboxes.ts";

export interface Tools {
  readonly executables: ExecutableFacts;
  readonly networks: NetworkFacts;
}

export interface Member {
  readonly type: string;
  /** Its stdin without the previous result; `undefined` if unknown. */
  readonly document: PluginConf["document"] | undefined;
  /** CNI_ARGS. */
  readonly args: string;
  readonly part: Part | undefined;
}

export interface Chain {
  readonly members: readonly Member[];
  /** The result of the last plugin; `undefined` if unknown. */
  readonly result: Result | undefined;
}

export function chainOf(trace: Trace, tools: Tools): Chain {
  const { parts, cached } = trace;
  const plugins = pluginsOf(trace, tools);
  const named = new Set(plugins.map(({ type }) => type));
  const others = suite.flatMap((type) => parts.find((part) => part.type === type && !named.has(type)) ?? []);
  const known = [
    ...plugins.flatMap((plugin) => memberOf(plugin, trace, tools)),
    ...others.filter(({ type }) => type !== "calico-ipam").map((part) => recorded(part, trace)),
  ];
  const isForgotten = trace.record?.endpoint !== undefined && !known.some(({ type }) => type === "calico");
  const forgotten = { type: "calico", document: undefined, args: argsOf(trace.pod), part: undefined };
  const members = isForgotten ? [forgotten, ...known] : known;
  return { members, result: cached?.result ?? resultOf(trace) };
}

/** A network whose main plugin was replaced since does not tell which plugins created the attachment. */
function pluginsOf({ attachment, parts, cached, record }: Trace, { networks }: Tools): readonly PluginConf[] {
  if (cached !== undefined) return cached.plugins;
  const plugins = networkNamed(networks, attachment.network)?.plugins ?? [];
  const isCalico = record?.endpoint !== undefined || parts.some(({ type }) => type === "calico");
  const hasCalico = plugins.some(({ type }) => type === "calico");
  return isCalico === hasCalico ? plugins : [];
}

function memberOf({ type, document }: PluginConf, trace: Trace, { executables }: Tools): readonly Member[] {
  const { parts, cached, record } = trace;
  const part = parts.find((one) => one.type === type);
  if (part !== undefined) return [recorded(part, trace)];
  const isOurs = ourExecutable(executables, type) !== undefined;
  // Ours by its name, if the executable is gone.
  const isGone = ourNames.includes(type) && isFaulty(executables, type);
  if (type === "loopback" || ((isOurs || isGone) && parts.length > 0)) return [];
  const args = cached?.args ?? argsOf(record?.endpoint?.pod);
  const asksRuntime = Object.values(document.capabilities ?? {}).includes(true);
  const isKnown = cached !== undefined || !asksRuntime || type === "calico";
  const { netns = "" } = record?.endpoint ?? {};
  const { attachment } = trace;
  // libcni's cache has the original request.
  const again =
    isOurs && cached !== undefined ? { type, attachment, netns, origin: undefined, args, document } : undefined;
  return [{ type, document: isKnown ? document : undefined, args, part: again }];
}

function isMainWithoutEndpoint(type: string): boolean {
  return descriptors.some(({ name, role, traces }) => name === type && role === "main" && !traces.endpoint);
}

function recorded(part: Part, { record, cached }: Trace): Member {
  const { type, document, args } = part;
  // Only the runtime knows the result of a main plugin without an endpoint: the sandbox does not show the gateways.
  const isUnknown = record === undefined && cached === undefined && isMainWithoutEndpoint(type);
  return { type, document: isUnknown ? undefined : document, args, part };
}

function argsOf(pod: Trace["pod"]): string {
  return pod === undefined ? "" : `IgnoreUnknown=1;K8S_POD_NAMESPACE=${pod.namespace};K8S_POD_NAME=${pod.name}`;
}

/** From the endpoint's record; with a foreign main plugin, from the sandbox's interfaces. */
function resultOf(trace: Trace): Result | undefined {
  const { attachment, record, inside } = trace;
  const endpoint = record?.endpoint;
  if (endpoint !== undefined) {
    return {
      interfaces: [
        { name: endpoint.hostInterface },
        { name: attachment.ifname, mac: endpoint.mac, sandbox: endpoint.netns },
      ],
      ips: endpoint.addresses.map((address) => ({ address, interface: 1 })),
    };
  }
  const end = inside?.interfaces.find(({ ifname }) => ifname === attachment.ifname);
  if (inside === undefined || end === undefined) return undefined;
  const ips = end.addr_info.flatMap(({ local, scope, prefixlen }) =>
    local !== undefined && scope === "global" ? [`${local}/${prefixlen ?? (local.includes(":") ? 128 : 32)}`] : [],
  );
  const host = trace.hostLink === undefined ? [] : [{ name: trace.hostLink.ifname }];
  return {
    interfaces: [...host, { name: attachment.ifname, sandbox: inside.path, ...(end.address && { mac: end.address }) }],
    ips: ips.map((address) => ({ address, interface: host.length })),
  };
}

/** The result as a plugin receives it, for a sandbox with this path. */
export function prevResultOf(result: Result, netns: string, version: string): Readonly<Record<string, unknown>> {
  const interfaces = result.interfaces?.map((one) => (one.sandbox ? { ...one, sandbox: netns } : one));
  const known = (supportedVersions as readonly string[]).includes(version) ? (version as CniVersion) : "1.0.0";
  return resultAs({ ...result, ...(interfaces && { interfaces }) }, known);
}

/** A call of one plugin; `undefined` if its request is unknown or its executable is missing. */
export function callOfMember(
  command: PluginCall["command"],
  { type, document, args }: Member,
  { attachment }: Trace,
  netns: string,
  { executables }: Tools,
): PluginCall | undefined {
  const found = executables.executables.find((one) => one.name === type);
  if (document === undefined || found?.path === undefined || found.fault !== undefined) return undefined;
  return {
    path: found.path,
    command,
    attachment,
    netns,
    args,
    pluginPath: executables.directories.join(":"),
    document,
  };
}
