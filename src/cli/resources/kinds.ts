/** The kinds of resources, and their names on the command line. */

import type { Kind, ServiceKind, ShownKind } from "../../store/object.ts";
import { isShown, shownKinds } from "../../store/shown-kinds.ts";
import { CliError, exitStatus } from "../error.ts";
import type { StoreType } from "../store.ts";
import { didYouMean } from "../suggest.ts";

/** Kinds that the command may write, each as `refusalOf` allows. */
export type StoredKind = Exclude<ResourceKind, "WorkloadEndpoint">;
export type ResourceKind = Exclude<Kind, ServiceKind>;

export const resourceKinds: readonly ResourceKind[] = [
  "IPPool",
  "IPReservation",
  "IPAMConfig",
  "IPAMBlock",
  "IPAMHandle",
  "BlockAffinity",
  "WorkloadEndpoint",
  "Node",
  "Namespace",
  "Profile",
  "ClusterInformation",
  "FelixConfiguration",
  "BGPConfiguration",
  "BGPPeer",
  "BGPFilter",
  ...(Object.keys(shownKinds) as ShownKind[]),
];

type Writing = "create" | "apply" | "replace" | "validate" | "delete";

/** Why a datastore does not take this; `undefined` if it does. */
export function refusalOf(type: StoreType, kind: ResourceKind, verb: Writing | "get"): string | undefined {
  if (type === "file")
    return ofCluster.has(kind) || isShown(kind)
      ? `only a cluster has a ${kind}, and this is a node's files`
      : undefined;
  if (type === "etcdv3" && kind === "Namespace") return "etcd has none: namespaces are Kubernetes'";
  if (verb === "get") return undefined;
  if (isShown(kind)) return shownKinds[kind].why;
  if (verb === "validate") return undefined;
  if (kind === "ClusterInformation") return 'Calico\'s node writes it, and "tortie datastore migrate" locks it';
  if (kind === "WorkloadEndpoint" && !(type === "etcdv3" && verb === "delete")) return "it follows from its pod";
  if (type === "etcdv3") return undefined;
  if (kind === "Namespace" || kind === "Profile") return "it is Kubernetes' own: use kubectl";
  const isNew = verb === "create" || verb === "delete";
  return kind === "Node" && isNew ? "it is Kubernetes' own, which the kubelet registers: use kubectl" : undefined;
}

const ofCluster: ReadonlySet<ResourceKind> = new Set([
  "ClusterInformation",
  "FelixConfiguration",
  "BGPConfiguration",
  "BGPPeer",
  "BGPFilter",
  "Profile",
]);

const shortNames: Readonly<Record<string, ResourceKind>> = {
  ipp: "IPPool",
  wep: "WorkloadEndpoint",
  hep: "HostEndpoint",
  gnp: "GlobalNetworkPolicy",
  globalnetworkpolicies: "GlobalNetworkPolicy",
  np: "NetworkPolicy",
  networkpolicies: "NetworkPolicy",
  netset: "NetworkSet",
  kcc: "KubeControllersConfiguration",
  kubecontrollersconfig: "KubeControllersConfiguration",
  caliconodestatuses: "CalicoNodeStatus",
  ns: "Namespace",
  clusterinfo: "ClusterInformation",
  felixconfig: "FelixConfiguration",
  bgpconfig: "BGPConfiguration",
  ipamconfiguration: "IPAMConfig",
  blockaffinities: "BlockAffinity",
};

/** Case-insensitive, singular or plural. Throws `CliError` 2. */
export function parseKind(text: string): ResourceKind {
  const kind = findKind(text);
  if (kind !== undefined) return kind;
  const known = resourceKinds.map((one) => one.toLowerCase());
  const near = didYouMean(text.replace(/s$/i, ""), known);
  throw new CliError(`cannot use kind "${text}"${near}: wanted one of ${known.join(", ")}`, exitStatus.usage);
}

export function findKind(text: string): ResourceKind | undefined {
  const name = text.toLowerCase();
  const singular = name.replace(/s$/, "");
  const byName = resourceKinds.find((kind) => [name, singular].includes(kind.toLowerCase()));
  return byName ?? shortNames[name] ?? shortNames[singular];
}
