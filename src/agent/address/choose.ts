/** Chooses a node's address: a pure function of its interfaces. */
import { canonicalAddress, type Family, familyOf } from "../../net/address.ts";
import { addressOf, contains, hostPrefix } from "../../net/prefix.ts";
import type { Method } from "./method.ts";

export interface NodeInterface {
  readonly name: string;
  /** Canonical, with the prefix length of the network. */
  readonly addresses: readonly string[];
}

export interface Facts {
  /** Interfaces that are up, by index, newest last. */
  readonly interfaces: readonly NodeInterface[];
  /** For `can-reach`: the source address of packets to the host. */
  readonly source?: string | undefined;
  /** For `kubernetes-internal-ip`. */
  readonly internalAddresses?: readonly string[];
}

/** Calico's list: interfaces of pods, of tunnels and of container programs. */
const neverFirst = [
  ...[/^docker.*/, /^cbr.*/, /^dummy.*/, /^podman.*/, /^virbr.*/, /^lxcbr.*/, /^veth.*/, /^lo/, /^br-.*/],
  ...[/^cali.*/, /^tunl.*/, /^flannel.*/, /^kube-ipvs.*/, /^cni.*/, /^vxlan\.calico.*/, /^vxlan-v6\.calico.*/],
  ...[/^wireguard\.cali.*/, /^wg-v6\.cali.*/, /^nodelocaldns.*/],
];

/** With the prefix length of its network, or a full-length prefix if no interface has it; `undefined` if there is none. */
export function chooseAddress(method: Method, family: Family, facts: Facts): string | undefined {
  switch (method.kind) {
    case "can-reach":
      return facts.source === undefined ? undefined : withNetwork(facts.source, facts.interfaces);
    case "kubernetes-internal-ip": {
      const internal = facts.internalAddresses?.find((address) => familyOf(address) === family);
      return internal === undefined ? undefined : withNetwork(internal, facts.interfaces);
    }
    case "interface":
      return firstOf(facts, family, { only: method.names });
    case "skip-interface":
      return firstOf(facts, family, { never: [...neverFirst, ...method.names] });
    case "cidr":
      return firstOf(facts, family, { cidrs: method.cidrs });
    case "first-found":
      return firstOf(facts, family, { never: neverFirst });
  }
}

/** An address of the node with the prefix length of its network, if an interface has it. */
export function withNetwork(address: string, interfaces: readonly NodeInterface[]): string {
  const wanted = canonicalAddress(address) ?? address;
  const all = interfaces.flatMap(({ addresses }) => addresses);
  return all.find((one) => addressOf(one) === wanted) ?? hostPrefix(wanted);
}

interface Limits {
  readonly only?: readonly RegExp[];
  readonly never?: readonly RegExp[];
  readonly cidrs?: readonly string[];
}

/** As Calico does: from the newest interface to the oldest. */
function firstOf({ interfaces }: Facts, family: Family, { only, never = [], cidrs }: Limits): string | undefined {
  const isWanted = ({ name }: NodeInterface) =>
    (only === undefined || only.some((regex) => regex.test(name))) && !never.some((regex) => regex.test(name));
  return [...interfaces]
    .reverse()
    .filter(isWanted)
    .flatMap(({ addresses }) => addresses)
    .filter((address) => familyOf(address) === family && isGlobal(address))
    .find((address) => cidrs === undefined || cidrs.some((cidr) => isIn(cidr, address)));
}

function isIn(cidr: string, address: string): boolean {
  return familyOf(cidr) === familyOf(address) && contains(cidr, addressOf(address));
}

const notGlobal = {
  4: ["0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"],
  6: ["::/127", "fe80::/10", "ff00::/8"],
} as const;

function isGlobal(address: string): boolean {
  return !notGlobal[familyOf(address)].some((range) => contains(range, addressOf(address)));
}
