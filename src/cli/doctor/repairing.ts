/**
 * Repairs of an attachment, by the plugins themselves.
 *
 * **A dead attachment gets the DEL that never came.** DEL needs only the network, container ID and interface name, and leaves foreign objects
 * alone. **A live attachment gets another ADD**, which adds the missing objects, keeps the correct ones, and requests the very addresses that
 * the attachment has.
 */
import type { PluginName } from "#plugins/descriptors";
import { addressOf } from "../../net/prefix.ts";
import { type Chain, callOfMember, chainOf, type Member, prevResultOf, type Tools } from "./chain.ts";
import { isFaulty, ourExecutable, suite } from "./executables.ts";
import type { ChainCall, Finding, Fix, PluginCall } from "./finding.ts";
import { ipamTypeOf, networkNamed, type PluginConf } from "./networks.ts";
import { chainLines, commandLine } from "./plugin-call.ts";
import type { Trace } from "./sandboxes.ts";

type Repair = Pick<Finding, "remedy" | "fix">;

/** DEL of the chain in reverse, as a runtime calls it; of our plugins all that left something, even those that the network no longer names. */
export function repairByDel(trace: Trace, tools: Tools): Repair {
  const confs = confsForDel(trace, tools);
  const calls = confs.flatMap((conf) => callOf("DEL", conf, trace, tools) ?? []);
  return calls.length < confs.length ? missingExecutable(confs, tools) : byCalls(calls);
}

/**
 * ADD of these plugins of the chain, or of all, each with the result of the one before. `undefined` if the attachment cannot be recreated as it
 * was.
 */
export function repairByAdd(
  trace: Trace,
  netns: string,
  tools: Tools,
  only: readonly string[] | "all",
): Repair | undefined {
  const chain = chainOf(trace, tools);
  const [main] = chain.members;
  const due = chain.members.filter(({ type }) => only === "all" || only.includes(type));
  const calls = due.flatMap((member): readonly ChainCall[] => {
    const { part } = member;
    const asked = member.type === "calico" ? asMade(member, trace) : member;
    const call = asked && callOfMember("ADD", asked, trace, netns, tools);
    return call === undefined ? [] : [{ ...call, part }];
  });
  const first = due.indexOf(main as Member) === 0 ? calls[0] : undefined;
  // The interface comes first. A foreign main plugin's interface can only be created by its runtime.
  if (calls.length === 0 || (due.includes(main as Member) && first?.path.endsWith("/calico") !== true))
    return undefined;
  return byChain(first === undefined ? withResult(calls, chain, netns) : calls);
}

function byChain(calls: readonly ChainCall[] | undefined): Repair | undefined {
  return calls && { remedy: chainLines(calls), fix: { kind: "chain", calls } };
}

/** The first of them gets the chain's result. */
function withResult(calls: readonly ChainCall[], { result }: Chain, netns: string): readonly ChainCall[] | undefined {
  const [first, ...rest] = calls;
  if (first === undefined || result === undefined) return undefined;
  const { cniVersion = "1.0.0" } = first.document as { readonly cniVersion?: string };
  return [{ ...first, document: { ...first.document, prevResult: prevResultOf(result, netns, cniVersion) } }, ...rest];
}

/** Requests the addresses that it has. `undefined` if a foreign IPAM plugin assigned them, because it would assign others. */
function asMade(member: Member, { record, link, ...trace }: Trace): Member | undefined {
  const { document, args } = member;
  const endpoint = record?.endpoint;
  if (document === undefined || ipamTypeOf({ type: "calico", document }) !== "calico-ipam") return undefined;
  const asksAddress = /(^|;)IP=/.test(args) || !endpoint?.addresses.length;
  const more = asksAddress ? [] : [`IP=${endpoint.addresses.map(addressOf).join(",")}`];
  // An existing interface keeps its MTU and MAC address, even if the network or a later plugin has set others since.
  const runtimeConfig = { ...(document.runtimeConfig as object | undefined), mac: macOf({ record, ...trace }) };
  const mtu = link === undefined ? {} : { mtu: 0 };
  return {
    ...member,
    document: { ...document, ...mtu, runtimeConfig },
    args: [args, ...more].filter(Boolean).join(";"),
  };
}

/** CHECK of the interface by its record. */
export function checkCall(trace: Trace, member: Member, netns: string, tools: Tools): PluginCall | undefined {
  const { record, attachment, link } = trace;
  const endpoint = record?.endpoint;
  if (endpoint === undefined || link === undefined) return undefined;
  const main = member.document;
  const ipam = (main?.ipam ?? { type: "calico-ipam" }) as {
    readonly type?: unknown;
    readonly routes?: unknown;
  };
  if (isFaulty(tools.executables, String(ipam.type))) return undefined;
  const interfaces = [{ name: endpoint.hostInterface }, { name: attachment.ifname, mac: endpoint.mac, sandbox: netns }];
  const document = {
    type: "calico",
    name: attachment.network,
    cniVersion: "1.0.0",
    // Checks only what every attachment has: the network's MTU may have changed since.
    ipam,
    include_default_routes: main?.include_default_routes ?? false,
    ...only(main ?? {}, keysOfDatastore),
    prevResult: {
      cniVersion: "1.0.0",
      interfaces,
      ips: endpoint.addresses.map((address) => ({ address, interface: 1 })),
      ...(Array.isArray(ipam.routes) && { routes: ipam.routes }),
    },
  };
  const call = callOf("CHECK", { type: "calico", document }, trace, tools);
  return call && { ...call, netns, args: member.args };
}

/** Which datastore has the pools, and whether the addresses are from IPAM. */
const keysOfDatastore = ["datastore_type", "nodename", "policy", "feature_control"];

/** The current address: a later plugin of the chain may have changed it. */
function macOf({ record, peer }: Pick<Trace, "record" | "peer">): string | undefined {
  const end = peer?.namespace.interfaces.find(({ ifname }) => ifname === peer.ifname);
  return end?.address ?? record?.endpoint?.mac;
}

/** DEL of one plugin only. */
export function repairByDelOf(type: PluginName, trace: Trace, tools: Tools): Repair {
  const conf = confOf(type, trace, tools);
  const call = callOf("DEL", conf, trace, tools);
  return call === undefined ? missingExecutable([conf], tools) : byCalls([call]);
}

function confsForDel(trace: Trace, tools: Tools): readonly PluginConf[] {
  const has = (type: string) => trace.parts.some((part) => part.type === type);
  const left: Readonly<Partial<Record<PluginName, boolean>>> = {
    portmap: trace.ports.length > 0,
    bandwidth: trace.ifb !== undefined,
    calico: trace.record !== undefined || trace.link !== undefined,
    "calico-ipam": trace.allocations.length > 0,
  };
  const chain = networkNamed(tools.networks, trace.attachment.network)?.plugins ?? [];
  const calls = [...suite].reverse().filter((type) => left[type] || has(type));
  // The main plugin calls its IPAM plugin itself.
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

/** The network's configuration; otherwise one that is sufficient for DEL. */
function confOf(type: PluginName, { attachment: { network }, parts }: Trace, tools: Tools): PluginConf {
  const chain = [...parts, ...(networkNamed(tools.networks, network)?.plugins ?? [])];
  const found = chain.find((plugin) => plugin.type === type) ?? chain.find((plugin) => ipamTypeOf(plugin) === type);
  if (found !== undefined) return { type, document: forDel(found.document) };
  const ipam = type.startsWith("calico") ? { ipam: { type: "calico-ipam" } } : {};
  return { type, document: { cniVersion: "1.0.0", name: network, type, ...ipam } };
}

/** The keys that DEL reads; the others would make the command too long. */
const keysOfDel = ["cniVersion", "name", "type", "ipam", "ipam_lock_file", "backend", "log_level", "log_file_path"];

function forDel(document: PluginConf["document"]): PluginConf["document"] {
  return only(document, keysOfDel);
}

function only(document: PluginConf["document"], keys: readonly string[]): PluginConf["document"] {
  return Object.fromEntries(Object.entries(document).filter(([key]) => keys.includes(key)));
}

function callOf(
  command: PluginCall["command"],
  { type, document }: PluginConf,
  { attachment }: Trace,
  { executables }: Tools,
): PluginCall | undefined {
  const path = ourExecutable(executables, type);
  if (path === undefined) return undefined;
  return { path, command, attachment, pluginPath: executables.directories.join(":"), document };
}

function byCalls(calls: readonly PluginCall[]): { readonly remedy: string; readonly fix: Fix } {
  return { remedy: calls.map(commandLine).join("\n"), fix: { kind: "plugins", calls } };
}

function missingExecutable(confs: readonly PluginConf[], { executables }: Tools): Repair {
  const missing = confs.map(({ type }) => type).filter((type) => ourExecutable(executables, type) === undefined);
  return { remedy: `# install ${missing.join(", ")} in ${executables.directories.join(" or ")} first` };
}
