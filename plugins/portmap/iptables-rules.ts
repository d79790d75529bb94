/**
 * The rules of the iptables back end, with the reference plugin's chains and names, in the words in which iptables-save prints them.
 *
 *     PREROUTING, OUTPUT ── to an address of the host ──> CNI-HOSTPORT-DNAT ── one entry per protocol and 15 ports ──> CNI-DN-<digest>
 *     CNI-HOSTPORT-DNAT   to ::1: RETURN, before any entry
 *     CNI-DN-<digest>     from the container's subnet or 127.0.0.1: CNI-HOSTPORT-SETMARK; then DNAT
 *     POSTROUTING ──> CNI-HOSTPORT-MASQ ── marked: MASQUERADE
 *     raw PREROUTING      to 127.0.0.0/8, not from lo: DROP
 */

import { CniError, code } from "../../src/cni/error.ts";
import type { Attachment } from "../../src/identity/attachment.ts";
import { sha512 } from "../../src/net/digest.ts";
import { hostPrefix, maskPrefix } from "../../src/net/prefix.ts";
import type { IptablesLayout, IptablesPorts } from "../../src/plan/iptables.ts";
import { guardComment } from "../../src/plan/loopback-guard.ts";
import type { Mapping, PortmapConf } from "./conf.ts";
import { portmapComment, referenceInterface } from "./names.ts";
import type { Target } from "./target.ts";

/** Never change: upgrades and operators' runbooks depend on them. */
export const dnatChain = "CNI-HOSTPORT-DNAT";
export const markChain = "CNI-HOSTPORT-SETMARK";
export const masqueradeChain = "CNI-HOSTPORT-MASQ";
const ownChainPrefix = "CNI-DN-";
const chainLength = 28;
/** The limit of the multiport match (XT_MULTI_PORTS, linux/netfilter/xt_multiport.h). */
const portsPerEntry = 15;

/** `CNI-DN-` and a digest: for `eth0` as in the reference plugin; each other interface of the container has its own. */
export function ownChainOf({ network, containerId, ifname }: Attachment): string {
  const key = ifname === referenceInterface ? network + containerId : `${network}/${containerId}/${ifname}`;
  return (ownChainPrefix + sha512(key)).slice(0, chainLength);
}

export function rulesOf(attachment: Attachment, conf: PortmapConf, target: Target): IptablesPorts {
  const chain = ownChainOf(attachment);
  const mappings = conf.mappings.filter(({ families }) => families.includes(target.family));
  const marks = conf.snat && conf.externalSetMarkChain === undefined;
  return {
    kind: "iptables-ports",
    family: target.family,
    layout,
    sharedChains: [dnatChain, ...(marks ? [markChain, masqueradeChain] : [])],
    shared: [...jumps, ...(marks ? markRules(conf.markMasqBit) : [])],
    loopback: target.family === "ip6" ? [ownLoopback] : [],
    raw: target.family === "ip" && conf.snat ? [loopbackGuard] : [],
    chain,
    own: mappings.flatMap((mapping) => ownRules(chain, mapping, conf, target)),
    entries: entryRules(attachment, chain, mappings, conf.conditions[target.family]),
    conditional: conf.conditions[target.family].length > 0,
    claims: mappings,
    address: target.address,
  };
}

const loopbackGuard = `-A PREROUTING -d 127.0.0.0/8 ! -i lo -m comment --comment "${guardComment}" -j DROP`;

/** What all attachments share. */
export const layout: IptablesLayout = {
  entryChain: dnatChain,
  ownPrefix: ownChainPrefix,
  chains: [dnatChain, masqueradeChain, markChain],
  guard: loopbackGuard,
};

/** Excludes ::1: the kernel does not forward packets to it, because IPv6 has no `route_localnet`. */
const ownLoopback = `-A ${dnatChain} -d ::1/128 -j RETURN`;

const jumps = ["PREROUTING", "OUTPUT"].map((hook) => `-A ${hook} -m addrtype --dst-type LOCAL -j ${dnatChain}`);

function markRules(bit: number): readonly string[] {
  const mark = `0x${(2 ** bit).toString(16)}`;
  return [
    `-A ${markChain} -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark ${mark}/${mark}`,
    `-A ${masqueradeChain} -m mark --mark ${mark}/${mark} -j MASQUERADE`,
    `-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j ${masqueradeChain}`,
  ];
}

function ownRules(
  chain: string,
  mapping: Mapping,
  conf: PortmapConf,
  { family, address, subnet }: Target,
): readonly string[] {
  const { protocol, hostPort, hostIp, containerPort } = mapping;
  const destination = hostIp === undefined ? "" : ` -d ${hostPrefix(hostIp)}`;
  const rule = (source: string, action: string): string =>
    `-A ${chain}${source}${destination} -p ${protocol} -m ${protocol} --dport ${hostPort} -j ${action}`;
  const mark = conf.externalSetMarkChain ?? markChain;
  const sources = conf.masqAll ? [""] : [` -s ${maskPrefix(subnet)}`, ...(family === "ip" ? [" -s 127.0.0.1/32"] : [])];
  const to = family === "ip" ? `${address}:${containerPort}` : `[${address}]:${containerPort}`;
  return [...(conf.snat ? sources.map((source) => rule(source, mark)) : []), rule("", `DNAT --to-destination ${to}`)];
}

function entryRules(
  attachment: Attachment,
  chain: string,
  mappings: readonly Mapping[],
  conditions: readonly string[],
): readonly string[] {
  const comment = quote(portmapComment(attachment));
  const words = conditions.map(quote);
  return (["sctp", "tcp", "udp"] as const).flatMap((protocol) => {
    const ports = [...new Set(mappings.filter((one) => one.protocol === protocol).map(({ hostPort }) => hostPort))];
    const parts = Array.from({ length: Math.ceil(ports.length / portsPerEntry) }, (_, index) =>
      ports.slice(index * portsPerEntry, (index + 1) * portsPerEntry),
    );
    return parts.map((part) =>
      [
        `-A ${dnatChain} -p ${protocol} -m comment --comment ${comment} -m multiport --dports ${part.join(",")}`,
        ...words,
        `-j ${chain}`,
      ].join(" "),
    );
  });
}

/** Quotes a word for iptables-restore. Throws `CniError` 7 if it contains a line break. */
function quote(word: string): string {
  if (/[\n\r\0]/.test(word)) {
    throw new CniError(code.invalidConfig, `cannot use condition ${JSON.stringify(word)}: it contains a line break`);
  }
  return /^[\w.,:/!@%+=-]+$/.test(word) ? word : `"${word.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
