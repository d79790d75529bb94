/**
 * A plan as equivalent commands of ip(8), sysctl(8), tc(8) and nft(8): the dry run.
 *
 * They are for a shell on the host with `CNI_NETNS` set to the path of the sandbox's network namespace.
 */

import { familyOf } from "../net/address.ts";
import { describeBlackhole, describeRoute, describeRule } from "./describe.ts";
import { addLines, type IptablesPorts } from "./iptables.ts";
import type { NftResource } from "./nft.ts";
import { inOrder } from "./order.ts";
import type {
  Blackhole,
  IfbLink,
  LinkAddress,
  LinkUp,
  Neighbour,
  Place,
  Plan,
  Qdisc,
  Redirect,
  Resource,
  ResourceKind,
  ResourceOf,
  Route,
  Rule,
  SharedRule,
  Sysctl,
  VethPair,
} from "./resource.ts";
import { showNft } from "./show-nft.ts";

/** The commands, in the order of `apply`. */
export function show(plan: Plan): readonly string[] {
  const resources = inOrder(plan.resources);
  const tables = resources.filter(isNft);
  return [
    ...resources.flatMap((resource) => (isNft(resource) ? [] : showers[resource.kind](resource as never, plan.owner))),
    ...showNft(tables, plan.owner),
  ];
}

function isNft(resource: Resource): resource is NftResource {
  return resource.kind === "nft-table" || resource.kind === "nft-elements";
}

/** nf_tables resources are shown together, because one command combines the elements of several. */
const showers: {
  readonly [K in Exclude<ResourceKind, NftResource["kind"]>]: (
    resource: ResourceOf<K>,
    owner: string,
  ) => readonly string[];
} = {
  veth: showVeth,
  ifb: showIfb,
  sysctl: showSysctl,
  up: showUp,
  address: showAddress,
  neighbour: showNeighbour,
  route: showRoute,
  blackhole: showBlackhole,
  rule: showRule,
  "shared-rule": showSharedRule,
  qdisc: showQdisc,
  redirect: showRedirect,
  "iptables-ports": showPorts,
};

function showVeth({ host, sandbox, mtu, queues }: VethPair, owner: string): readonly string[] {
  const common = [...(mtu ? [`mtu ${mtu}`] : []), ...(queues ? [`numtxqueues ${queues} numrxqueues ${queues}`] : [])];
  const end = ({ name, mac }: VethPair["host"]) => [name, ...(mac ? [`address ${mac}`] : []), ...common].join(" ");
  return [
    `ip link add ${end(host)} type veth peer name ${end(sandbox)} netns "$CNI_NETNS"`,
    `ip link set dev ${host.name} alias ${quoted(owner)}`,
  ];
}

function showIfb({ at, name, mtu, txQueueLength }: IfbLink, owner: string): readonly string[] {
  const words = [
    name,
    ...(mtu ? [`mtu ${mtu}`] : []),
    ...(txQueueLength === undefined ? [] : [`txqueuelen ${txQueueLength}`]),
  ];
  return [
    `${entering(at)}ip link add ${words.join(" ")} type ifb`,
    `${entering(at)}ip link set dev ${name} alias ${quoted(owner)}`,
  ];
}

function showSysctl({ at, path, value, optional, ifDifferent }: Sysctl): readonly string[] {
  const read = `$(${entering(at)}sysctl -n ${quoted(path)})`;
  const unless = ifDifferent ? `[ "${read}" = ${quoted(value)} ] || ` : "";
  return [`${unless}${entering(at)}sysctl -q -w ${quoted(`${path}=${value}`)}${optional ? " || true" : ""}`];
}

function showUp({ at, link, claim }: LinkUp, owner: string): readonly string[] {
  return [`${entering(at)}ip link set dev ${link} up${claim ? ` alias ${quoted(owner)}` : ""}`];
}

function showAddress({ at, link, address, noDad, noPrefixRoute }: LinkAddress): readonly string[] {
  const flags = `${noDad ? " nodad" : ""}${noPrefixRoute ? " noprefixroute" : ""}`;
  return [`${entering(at)}ip address add ${address} dev ${link}${flags}`];
}

function showNeighbour({ at, link, address, mac }: Neighbour): readonly string[] {
  return [`${entering(at)}ip neighbour add ${address} lladdr ${mac} dev ${link} nud permanent`];
}

function showRoute(route: Route): readonly string[] {
  const command = `${entering(route.at)}${ip(route.destination)} route add ${describeRoute(route)}`;
  const instead = (route.instead ?? []).flatMap((one) => (one.kind === "route" ? showRoute(one) : showRule(one)));
  return [instead.length === 0 ? command : `${command} || { ${instead.join(" && ")}; }`];
}

function showBlackhole(blackhole: Blackhole): readonly string[] {
  const { at, destination } = blackhole;
  return [`${entering(at)}${ip(destination)} route add ${describeBlackhole(blackhole)} || true`];
}

function showRule(rule: Rule): readonly string[] {
  return [`${entering(rule.at)}${ip(rule.from)} rule add ${describeRule(rule)}`];
}

function showSharedRule(rule: SharedRule): readonly string[] {
  const command = rule.family === 6 ? "ip -6" : "ip";
  return [`${entering(rule.at)}${command} rule add ${describeRule(rule)} || true`];
}

/** ip(8) for the family of a prefix. */
function ip(prefix: string): string {
  return familyOf(prefix) === 6 ? "ip -6" : "ip";
}

function showQdisc(qdisc: Qdisc): readonly string[] {
  const { at, link, discipline } = qdisc;
  if (discipline === "ingress") return [`${entering(at)}tc qdisc add dev ${link} handle ffff: ingress`];
  const { rateBytes, burstBytes, limitBytes } = qdisc;
  return [
    `${entering(at)}tc qdisc add dev ${link} root handle 1: tbf rate ${rateBytes}bps burst ${burstBytes} limit ${limitBytes}`,
  ];
}

function showRedirect({ at, link, target }: Redirect): readonly string[] {
  const match = "protocol all pref 1 u32 match u32 0 0 flowid 1:1";
  const action = `action mirred egress redirect dev ${target}`;
  return [`${entering(at)}tc filter add dev ${link} parent ffff: ${match} ${action}`];
}

/** The commands for a node that has no host ports in iptables yet. */
function showPorts(ports: IptablesPorts): readonly string[] {
  if (ports.own.length === 0) return [];
  const program = ports.family === "ip" ? "iptables-restore" : "ip6tables-restore";
  const lines = addLines(ports, { nat: [], raw: [] }, []);
  return [[`${program} --noflush <<'END'`, ...lines, "END"].join("\n")];
}

function entering(place: Place): string {
  return place === "host" ? "" : `nsenter --net="$CNI_NETNS" `;
}

/** Quotes a text as one word of a shell command. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
