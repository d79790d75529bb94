/**
 * What mends an attachment, by the plugins themselves.
 *
 * **Of one that is gone: the DEL that never came.** DEL works from network, container ID and interface name alone, and takes nothing that
 * belongs to another. **Of one that lives: ADD once more**, which makes what is missing, leaves what is right, and asks for the very
 * addresses that the attachment has.
 */
import { addressOf } from "../../net/prefix.ts";
import { type ExecutableFacts, isFaulty, ourExecutable, suite } from "./executables.ts";
import type { Finding, Fix, PluginCall } from "./finding.ts";
import { ipamTypeOf, type NetworkFacts, networkNamed, type PluginConf } from "./networks.ts";
import { commandLine } from "./plugin-call.ts";
import type { Trace } from "./sandboxes.ts";

export interface Tools {
  readonly executables: ExecutableFacts;
  readonly networks: NetworkFacts;
}

type Mend = Pick<Finding, "remedy" | "fix">;

/** The chain in reverse, as a runtime calls it; of our own plugins all that left something, even where the network has lost them. */
export function mendByDel(trace: Trace, tools: Tools): Mend {
  const confs = confsForDel(trace, tools);
  const calls = confs.flatMap((conf) => callOf("DEL", conf, trace, tools) ?? []);
  return calls.length < confs.length ? missingExecutable(confs, tools) : byCalls(calls);
}

/** `undefined` where the attachment cannot be made anew as it was. */
export function mendByAdd(trace: Trace, netns: string, tools: Tools): Mend | undefined {
  const { record, attachment } = trace;
  const endpoint = record?.endpoint;
  const main = networkNamed(tools.networks, attachment.network)?.plugins[0];
  if (endpoint === undefined || main?.type !== "calico" || ipamTypeOf(main) !== "calico-ipam") return undefined;
  const args = [
    "IgnoreUnknown=1",
    ...(endpoint.pod === undefined
      ? []
      : [`K8S_POD_NAMESPACE=${endpoint.pod.namespace}`, `K8S_POD_NAME=${endpoint.pod.name}`]),
    ...(endpoint.addresses.length === 0 ? [] : [`IP=${endpoint.addresses.map(addressOf).join(",")}`]),
  ];
  // An interface that is there keeps its MTU, whatever the network has got since.
  const mtu = trace.link === undefined ? {} : { mtu: 0 };
  const document = { ...main.document, ...mtu, runtimeConfig: { mac: macOf(trace) } };
  const call = callOf("ADD", { type: main.type, document }, trace, tools);
  return call === undefined ? undefined : byCalls([{ ...call, netns, args: args.join(";") }]);
}

/** What CHECK needs of an attachment that nobody remembers the result of. */
export function checkCall(trace: Trace, netns: string, tools: Tools): PluginCall | undefined {
  const { record, attachment, link } = trace;
  const endpoint = record?.endpoint;
  if (endpoint === undefined || link === undefined) return undefined;
  const main = networkNamed(tools.networks, attachment.network)?.plugins.find(({ type }) => type === "calico");
  const ipam = (main?.document.ipam ?? { type: "calico-ipam" }) as {
    readonly type?: unknown;
    readonly routes?: unknown;
  };
  if (isFaulty(tools.executables, String(ipam.type))) return undefined;
  const interfaces = [{ name: endpoint.hostInterface }, { name: attachment.ifname, mac: endpoint.mac, sandbox: netns }];
  const document = {
    type: "calico",
    name: attachment.network,
    cniVersion: "1.0.0",
    // Only what every attachment has is judged: the network may have got another MTU since.
    ipam,
    include_default_routes: main?.document.include_default_routes ?? false,
    prevResult: {
      cniVersion: "1.0.0",
      interfaces,
      ips: endpoint.addresses.map((address) => ({ address, interface: 1 })),
      ...(Array.isArray(ipam.routes) && { routes: ipam.routes }),
    },
  };
  const call = callOf("CHECK", { type: "calico", document }, trace, tools);
  const pod = endpoint.pod;
  const args = pod === undefined ? "" : `K8S_POD_NAMESPACE=${pod.namespace};K8S_POD_NAME=${pod.name}`;
  return call && { ...call, netns, args };
}

/** As it is: a later plugin of the chain may have changed it. */
function macOf({ record, peer }: Trace): string | undefined {
  const end = peer?.namespace.interfaces.find(({ ifname }) => ifname === peer.ifname);
  return end?.address ?? record?.endpoint?.mac;
}

/** By plugins of one kind alone. */
export function mendByDelOf(type: (typeof suite)[number], trace: Trace, tools: Tools): Mend {
  const conf = confOf(type, trace, tools);
  const call = callOf("DEL", conf, trace, tools);
  return call === undefined ? missingExecutable([conf], tools) : byCalls([call]);
}

function confsForDel(trace: Trace, tools: Tools): readonly PluginConf[] {
  const needs: Readonly<Record<(typeof suite)[number], boolean>> = {
    portmap: trace.ports.length > 0,
    bandwidth: trace.ifb !== undefined,
    calico: trace.record !== undefined || trace.link !== undefined,
    "calico-ipam": trace.allocations.length > 0,
  };
  const chain = networkNamed(tools.networks, trace.attachment.network)?.plugins ?? [];
  const calls = [...suite].reverse().filter((type) => needs[type]);
  // The main plugin asks its IPAM plugin itself.
  const main = chain.find(({ type }) => type === "calico");
  const asked = calls.includes("calico") && (main === undefined || ipamTypeOf(main) === "calico-ipam");
  return [
    ...(trace.chains.length > 0 ? [withBackend(confOf("portmap", trace, tools), "iptables")] : []),
    ...calls
      .filter((type) => type !== "calico-ipam" || !asked)
      .map((type) => {
        const conf = confOf(type, trace, tools);
        return type === "portmap" ? withBackend(conf, "nftables") : conf;
      }),
  ];
}

function withBackend({ type, document }: PluginConf, backend: "nftables" | "iptables"): PluginConf {
  return { type, document: { ...document, backend } };
}

/** As the network has it; else what DEL can do with. */
function confOf(type: (typeof suite)[number], { attachment: { network } }: Trace, tools: Tools): PluginConf {
  const chain = networkNamed(tools.networks, network)?.plugins ?? [];
  const found = chain.find((plugin) => plugin.type === type) ?? chain.find((plugin) => ipamTypeOf(plugin) === type);
  if (found !== undefined) return { type, document: forDel(found.document) };
  const ipam = type.startsWith("calico") ? { ipam: { type: "calico-ipam" } } : {};
  return { type, document: { cniVersion: "1.0.0", name: network, type, ...ipam } };
}

/** What DEL looks at; the rest would make a long line for people. */
const keysOfDel = ["cniVersion", "name", "type", "ipam", "ipam_lock_file", "backend", "log_level", "log_file_path"];

function forDel(document: PluginConf["document"]): PluginConf["document"] {
  return Object.fromEntries(Object.entries(document).filter(([key]) => keysOfDel.includes(key)));
}

function callOf(
  command: PluginCall["command"],
  { type, document }: PluginConf,
  { attachment }: Trace,
  { executables }: Tools,
): PluginCall | undefined {
  const path = ourExecutable(executables, type);
  if (path === undefined) return undefined;
  return { path, command, attachment, pluginPath: executables.folders.join(":"), document };
}

function byCalls(calls: readonly PluginCall[]): { readonly remedy: string; readonly fix: Fix } {
  return { remedy: calls.map(commandLine).join("\n"), fix: { kind: "plugins", calls } };
}

function missingExecutable(confs: readonly PluginConf[], { executables }: Tools): Mend {
  const missing = confs.map(({ type }) => type).filter((type) => ourExecutable(executables, type) === undefined);
  return { remedy: `# install ${missing.join(", ")} in ${executables.folders.join(" or ")} first` };
}
