/**
 * The keys of Calico's objects in etcd.
 *
 *     /calico/ipam/v2/assignment/ipv4/block/192.168.230.0-26                a block
 *     /calico/ipam/v2/host/<node>/ipv4/block/192.168.230.0-26               an affinity
 *     /calico/ipam/v2/handle/<handle ID>
 *     /calico/ipam/v2/config                                                IPAMConfig "default"
 *     /calico/resources/v3/projectcalico.org/ippools/<name>                 and every other resource
 */
import type { Filter } from "../filter.ts";
import type { Key } from "../key.ts";
import type { Kind } from "../object.ts";
import { blockCidrOf, nameOf } from "../object-name.ts";
import { isNamespaced, pluralsOfShown } from "../shown-kinds.ts";

const ipam = "/calico/ipam/v2";
const blocks = `${ipam}/assignment/`;
const hosts = `${ipam}/host/`;
const handles = `${ipam}/handle/`;
const config = `${ipam}/config`;
const resources = "/calico/resources/v3/projectcalico.org";

/** Kinds that are stored as resources, each under its own prefix. Calico does not store namespaces in etcd. */
const plurals: Readonly<Partial<Record<Kind, string>>> = {
  IPPool: "ippools",
  IPReservation: "ipreservations",
  ClusterInformation: "clusterinformations",
  FelixConfiguration: "felixconfigurations",
  BGPConfiguration: "bgpconfigurations",
  BGPPeer: "bgppeers",
  BGPFilter: "bgpfilters",
  Node: "nodes",
  WorkloadEndpoint: "workloadendpoints",
  Profile: "profiles",
  ...pluralsOfShown(),
};

/** `undefined` if etcd has no key for it: an affinity or a handle by its name, or a kind that Calico does not store in etcd. */
export function pathOf(key: Key): string | undefined {
  if ("handleId" in key) return `${handles}${key.handleId}`;
  if ("workload" in key) return `${resources}/workloadendpoints/${key.namespace}/${nameOf(key)}`;
  if ("node" in key) return `${hosts}${key.node}/${blockPart(key.cidr)}`;
  if ("cidr" in key) return `${blocks}${blockPart(key.cidr)}`;
  if (key.kind === "IPAMBlock") {
    const cidr = blockCidrOf(key.name);
    return cidr && `${blocks}${blockPart(cidr)}`;
  }
  if (key.kind === "IPAMConfig") return key.name === "default" ? config : undefined;
  const plural = key.kind === "WorkloadEndpoint" ? undefined : plurals[key.kind];
  return plural && `${resources}/${plural}/${key.name}`;
}

/** The common prefix of all keys that a listing may need; other kinds may share it (`keyAt`). `undefined`: there are none. */
export function prefixOf(kind: Kind, { node, family, network }: Filter): string | undefined {
  if (kind === "IPAMBlock") return family === undefined ? blocks : `${blocks}ipv${family}/`;
  if (kind === "BlockAffinity")
    return node === undefined ? hosts : `${hosts}${node}/${family === undefined ? "" : `ipv${family}/`}`;
  if (kind === "IPAMHandle") return `${handles}${network ?? ""}`;
  if (kind === "IPAMConfig") return config;
  const plural = plurals[kind];
  return plural && `${resources}/${plural}/`;
}

/** The key of the object at a path; `undefined` if the path is not one of this kind. */
export function keyAt(kind: Kind, path: string): Key | undefined {
  if (kind === "IPAMBlock") {
    const cidr = cidrIn(path.slice(blocks.length));
    return cidr === undefined ? undefined : { kind, cidr };
  }
  if (kind === "BlockAffinity") {
    const [, node = "", rest = ""] = /^([^/]+)\/(.+)$/.exec(path.slice(hosts.length)) ?? [];
    const cidr = cidrIn(rest);
    return cidr === undefined ? undefined : { kind, node, cidr };
  }
  if (kind === "IPAMHandle") return { kind, handleId: path.slice(handles.length) };
  if (kind === "IPAMConfig") return path === config ? { kind, name: "default" } : undefined;
  const [name = "", namespace = ""] = path.split("/").reverse();
  return { kind, name, ...(isNamespaced(kind) && { namespace }) };
}

/** `192.168.230.0/26` gives `ipv4/block/192.168.230.0-26`. */
function blockPart(cidr: string): string {
  return `ipv${cidr.includes(":") ? 6 : 4}/block/${cidr.replace("/", "-")}`;
}

function cidrIn(part: string): string | undefined {
  const [, address, length] = /^ipv[46]\/block\/([^/]+)-(\d+)$/.exec(part) ?? [];
  return address === undefined ? undefined : `${address}/${length}`;
}
