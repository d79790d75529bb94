/** Resolves the words of the command line: the sender among the pods of this node, the target among pods, nodes and addresses. */
import { type NetworkNode, networkNodeOf } from "../../cluster-network/network-node.ts";
import { type NetworkPool, networkPoolOf } from "../../cluster-network/network-pool.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import { nodeOfAffinity } from "../../ipam/model/affinity.ts";
import { attributeAt, type Block, isBlock } from "../../ipam/model/block.ts";
import { blockAddress, blockOrdinal } from "../../ipam/model/ordinal.ts";
import { canonicalAddress, type Family, familyOf } from "../../net/address.ts";
import { addressOf, contains } from "../../net/prefix.ts";
import { list, type Transaction } from "../../store/transaction.ts";
import { CliError } from "../error.ts";
import type { LocalPod, Port, Target } from "./facts.ts";

/** What the datastore says. */
export interface Known {
  readonly pools: readonly NetworkPool[];
  readonly blocks: readonly Block[];
  readonly nodes: readonly NetworkNode[];
}

export function* readKnown(): Transaction<Known> {
  const pools = (yield* list("IPPool")).flatMap((object) => networkPoolOf(object) ?? []);
  const blocks = (yield* list("IPAMBlock")).filter(isBlock);
  const nodes = (yield* list("Node")).map(networkNodeOf);
  return { pools, blocks, nodes };
}

/** All addresses of the pods of this node. */
export function localPods(endpoints: readonly Endpoint[]): readonly LocalPod[] {
  return endpoints.flatMap(({ attachment, pod, addresses, hostInterface, netns }) =>
    addresses.map(addressOf).map((address) => ({
      name: pod === undefined ? attachment.containerId : `${pod.namespace}/${pod.name}`,
      ...{ address, hostInterface, ifname: attachment.ifname, netns },
    })),
  );
}

/** Whether a word of the command line names the pod: its name with or without its namespace, its address, or the start of its container ID. */
function isMeant(pod: Pick<LocalPod, "name" | "address">, word: string): boolean {
  const address = canonicalAddress(word);
  if (address !== undefined) return pod.address === address;
  return (
    pod.name === word ||
    pod.name.split("/").at(-1) === word ||
    (word.length >= minIdLength && pod.name.startsWith(word))
  );
}

/** As many characters as runtimes print. */
const minIdLength = 12;

/** The sender. Throws `CliError` if no pod of this node, or more than one, is meant. */
export function senderOf(
  word: string,
  pods: readonly LocalPod[],
  known: Known,
  node: string,
): readonly [LocalPod, ...LocalPod[]] {
  const [first, ...rest] = pods.filter((pod) => isMeant(pod, word));
  if (first !== undefined) {
    const other = rest.find(({ name }) => name !== first.name);
    if (other !== undefined)
      throw new CliError(
        `cannot trace from "${word}": it names ${first.name} and ${other.name}; give the namespace too`,
      );
    return [first, ...rest];
  }
  const far = allocatedTo(word, known)[0];
  const where =
    far === undefined
      ? `no pod of node "${node}" has this name or address; see tortie get workloadendpoints`
      : `it is on node "${far.node}": run the command there`;
  throw new CliError(`cannot trace from "${word}": ${where}`);
}

interface Allocation {
  readonly address: string;
  readonly name: string | undefined;
  readonly block: string;
  readonly node: string | undefined;
}

/** The allocations that a word names. */
function allocatedTo(word: string, { blocks }: Known): readonly Allocation[] {
  const address = canonicalAddress(word);
  return blocks.flatMap((block): readonly Allocation[] => {
    if (address !== undefined) {
      if (!contains(block.spec.cidr, address)) return [];
      const found = allocationAt(block, blockOrdinal(block.spec.cidr, address) ?? -1);
      return found === undefined ? [] : [found];
    }
    return block.spec.allocations.flatMap((_, ordinal) => {
      const found = allocationAt(block, ordinal);
      return found !== undefined && isMeant({ ...found, name: found.name ?? "" }, word) ? [found] : [];
    });
  });
}

function allocationAt({ spec }: Block, ordinal: number): Allocation | undefined {
  const attribute = attributeAt(spec, ordinal);
  if (attribute === undefined) return undefined;
  const { namespace, pod, node } = attribute.secondary ?? {};
  return {
    address: blockAddress(spec, ordinal),
    name: pod === undefined ? undefined : `${namespace}/${pod}`,
    block: spec.cidr,
    node: node ?? nodeOfAffinity(spec.affinity ?? undefined),
  };
}

export interface Aim {
  /** As it was asked for. */
  readonly word: string;
  readonly address: string;
  /** `undefined`: none was asked for. */
  readonly port: Port | undefined;
}

/** `203.0.113.7:8080`, `[2001:db8::7]:53/udp`, `node-a:8080`; an IPv6 address without brackets has no port. */
export function splitPort(word: string): { readonly name: string; readonly port: Port | undefined } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})(?:\/(tcp|udp|sctp))?$/.exec(word);
  if (match === null) return { name: word, port: undefined };
  const [, inBrackets, plain, digits, protocol = "tcp"] = match;
  return {
    name: inBrackets ?? plain ?? "",
    port: { number: Number(digits), protocol: protocol as Port["protocol"] },
  };
}

/** The target's address, in a family that the sender has. Throws `CliError` if there is none. */
export function aimAt(word: string, families: readonly Family[], pods: readonly LocalPod[], known: Known): Aim {
  const { name, port } = splitPort(word);
  const at = (address: string): Aim => ({ word, address, port });
  const address = canonicalAddress(name);
  if (address !== undefined) {
    if (!families.includes(familyOf(address)))
      throw new CliError(`cannot trace to "${word}": the pod has no IPv${familyOf(address)} address`);
    return at(address);
  }
  const isUsable = (one: string) => families.includes(familyOf(one));
  const pod = pods.find((one) => isMeant(one, name) && isUsable(one.address));
  if (pod !== undefined) return at(pod.address);
  const far = allocatedTo(name, known).find((one) => isUsable(one.address));
  if (far !== undefined) return at(far.address);
  const node = known.nodes.find((one) => one.name === name);
  const own = Object.values(node?.addresses ?? {})
    .map(addressOf)
    .find(isUsable);
  if (own !== undefined) return at(own);
  throw new CliError(`cannot trace to "${word}": it is no address, and neither a pod nor a node of that name is known`);
}

/** The owner of the address, if it is not a pod of this node. `own`: the addresses of this node. */
export function targetAt(
  address: string,
  { pools, blocks, nodes }: Known,
  own: readonly string[],
  node: string,
): Exclude<Target, { kind: "local pod" }> {
  if (own.includes(address)) return { kind: "this node", address };
  const family = familyOf(address);
  const on = nodes.find(({ addresses, vxlanAddresses, ipipAddress }) =>
    [addresses[family], vxlanAddresses[family], ipipAddress].some(
      (one) => one !== undefined && addressOf(one) === address,
    ),
  );
  if (on !== undefined && on.name !== node) return { kind: "far node", address, on };
  const block = blocks.find(({ spec }) => contains(spec.cidr, address));
  const allocation = block && allocationAt(block, blockOrdinal(block.spec.cidr, address) ?? -1);
  const owner = nodeOfAffinity(block?.spec.affinity ?? undefined);
  const holder = nodes.find(({ name }) => name === allocation?.node);
  if (allocation !== undefined && holder !== undefined && holder.name !== node)
    return { kind: "far pod", address, pod: allocation.name, block: allocation.block, owner, on: holder };
  if (!pools.some(({ cidr }) => contains(cidr, address))) return { kind: "outside", address };
  const held = allocation && { pod: allocation.name, node: allocation.node };
  return { kind: "unallocated", address, block: block?.spec.cidr, on: owner, ...(held && { holder: held }) };
}
