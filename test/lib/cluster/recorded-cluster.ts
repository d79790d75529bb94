/**
 * The recorded cluster of Calico (`test/fixtures/calico-newest`) on the nodes of a fabric: its objects, with the addresses that the fabric's nodes have, and
 * of the pools and blocks a copy in IPv6.
 *
 *     recorded     rig-node 172.31.250.1   node-b 172.31.250.7   node-c 10.9.9.9       two subnets, as here
 *     here         rig-node 10.1.0.1       node-b 10.1.0.2       node-c 10.2.0.1
 *
 * IPv6 was not recorded. Each object and line is the recorded one with its addresses mapped: 192.168.230.1 becomes fd00:10:244::e601, so that blocks of 64
 * stay blocks of 64.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { vxlanMacOf } from "../../../src/cluster-network/network-node.ts";
import { parseJson, stringifyJson } from "../../../src/store/json.ts";
import { root } from "../suite.ts";

const recordings = join(root, "test/fixtures/calico-newest/kubernetes");
const lastStep = "10-add-ps";

/** The node that Felix ran on. */
export const felixNode = "rig-node";
export const recordedPlaces = [
  { name: felixNode, subnet: 1, host: 1 },
  { name: "node-b", subnet: 1, host: 2 },
  { name: "node-c", subnet: 2, host: 1 },
] as const;

export interface RecordedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface RecordedPod {
  readonly name: string;
  readonly node: string;
  readonly containerId: string;
  readonly addresses: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

interface NodeAddresses {
  readonly name: string;
  readonly address4: string;
  readonly address6: string;
}

const prefix = "cni.projectcalico.org/";
const ofNode = "projectcalico.org/";
/** The pool of which the tests have a copy in IPv6. */
const mappedPool = "192.168.";

/** An address or prefix of the recorded pool in IPv6. */
export function inIpv6(text: string): string {
  return text.replaceAll(/192\.168\.(\d+)\.(\d+)(?:\/(\d+))?/g, (_, third: string, last: string, length?: string) => {
    const low = (Number(third) * 256 + Number(last)).toString(16);
    return `fd00:10:244::${low}${length === undefined ? "" : `/${Number(length) + 96}`}`;
  });
}

/** IPPools, blocks, affinities and handles, without what the API server sets itself. */
export function recordedObjects(): readonly RecordedObject[] {
  const objects = (read(`${lastStep}.objects.json`) as readonly RecordedObject[]).map(plain);
  return objects.flatMap((object) => {
    if (object.kind === "IPAMHandle") return [bothFamilies(object)];
    return String(object.spec.cidr).startsWith(mappedPool) ? [object, copyInIpv6(object)] : [object];
  });
}

function plain({ apiVersion, kind, metadata: { name, labels, annotations = {} }, spec }: RecordedObject) {
  const { "kubectl.kubernetes.io/last-applied-configuration": _applied, ...others } = annotations;
  return { apiVersion, kind, metadata: { name, annotations: others, ...(labels && { labels }) }, spec };
}

function copyInIpv6(object: RecordedObject): RecordedObject {
  const cidr = String(object.spec.cidr);
  const inName = (text: string) => text.replace(/[.:/]/g, "-");
  const name = object.metadata.name.replace(inName(cidr), inName(inIpv6(cidr))).replace("ipv4", "ipv6");
  const version = (text: string) => text.replaceAll(/(ip-version\\?":\\?)"4/g, '$1"6');
  const metadata = JSON.parse(version(JSON.stringify({ ...object.metadata, name })));
  const blockSize = object.kind === "IPPool" ? { blockSize: Number(object.spec.blockSize) + 96 } : {};
  return { ...object, metadata, spec: { ...object.spec, cidr: inIpv6(cidr), ...blockSize } };
}

function bothFamilies(handle: RecordedObject): RecordedObject {
  const block = Object.entries(handle.spec.block as Readonly<Record<string, number>>);
  const more = block.filter(([cidr]) => cidr.startsWith(mappedPool)).map(([cidr, count]) => [inIpv6(cidr), count]);
  return { ...handle, spec: { ...handle.spec, block: Object.fromEntries([...block, ...more]) } };
}

/** The Nodes, with the addresses of the fabric's. */
export function recordedNodes(nodes: readonly NodeAddresses[]): readonly RecordedObject[] {
  return readNodes().map(({ name, annotations }) => {
    const found = nodes.find((one) => one.name === name);
    if (found === undefined) throw new Error(`the fabric has no node ${name}`);
    const { "kubectl.kubernetes.io/last-applied-configuration": _applied, ...recorded } = annotations;
    const tunnel = recorded[`${ofNode}IPv4VXLANTunnelAddr`] ?? "";
    const own = {
      ...recorded,
      [`${ofNode}IPv4Address`]: `${found.address4}/24`,
      [`${ofNode}IPv6Address`]: `${found.address6}/64`,
      [`${ofNode}IPv6VXLANTunnelAddr`]: inIpv6(tunnel),
      [`${ofNode}VXLANTunnelMACAddrV6`]: vxlanMacOf(name, 6),
    };
    return { apiVersion: "v1", kind: "Node", metadata: { name, annotations: own }, spec: {} };
  });
}

/** Of each node: the recorded address, and the MAC address of its VXLAN device. */
export function recordedNodeFacts(): readonly {
  readonly name: string;
  readonly address: string;
  readonly mac: string;
}[] {
  return readNodes().map(({ name, annotations }) => ({
    name,
    address: (annotations[`${ofNode}IPv4Address`] ?? "").replace(/\/.*/, ""),
    mac: annotations[`${ofNode}VXLANTunnelMACAddr`] ?? "",
  }));
}

/** Those that still had an address after the last step. */
export function recordedPods(): readonly RecordedPod[] {
  const pods = read(`${lastStep}.pods.json`) as readonly RecordedObject["metadata"][];
  return pods.flatMap(({ name, annotations = {}, labels = {} }) => {
    const { "kubectl.kubernetes.io/last-applied-configuration": applied = "", ...own } = annotations;
    const address = (own[`${prefix}podIPs`] ?? "").replace("/32", "");
    if (address === "") return [];
    const addresses = address.startsWith(mappedPool) ? [address, inIpv6(address)] : [address];
    const podIPs = addresses.map((one) => `${one}/${one.includes(":") ? 128 : 32}`).join(",");
    const { nodeName } = (JSON.parse(applied) as { readonly spec: { readonly nodeName: string } }).spec;
    const containerId = own[`${prefix}containerID`] ?? "";
    return [
      { name, node: nodeName, containerId, addresses, labels, annotations: { ...own, [`${prefix}podIPs`]: podIPs } },
    ];
  });
}

function readNodes() {
  type Named = { readonly name: string; readonly annotations: Readonly<Record<string, string>> };
  return read("nodes.json") as readonly Named[];
}

/** 64-bit numbers stay exact. */
function read(file: string): unknown {
  return parseJson(readFileSync(join(recordings, file), "utf8"));
}

/** The body of a request to the API server. */
export function bodyOf(object: RecordedObject): string {
  return stringifyJson(object);
}
