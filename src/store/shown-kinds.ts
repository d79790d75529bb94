/** The kinds that only Calico's other programs use: they can be listed, as people expect of a cluster's command, and have no effect here. */
import type { Kind, ShownKind } from "./object.ts";

interface Shown {
  /** Its name among the API's resources, and in etcd. */
  readonly plural: string;
  readonly isNamespaced?: true;
  /** What a person should know who lists it. */
  readonly why: string;
}

const noPolicy = "Tortie enforces no network policy";

export const shownKinds: Readonly<Record<ShownKind, Shown>> = {
  NetworkPolicy: { plural: "networkpolicies", isNamespaced: true, why: noPolicy },
  GlobalNetworkPolicy: { plural: "globalnetworkpolicies", why: noPolicy },
  NetworkSet: { plural: "networksets", isNamespaced: true, why: noPolicy },
  GlobalNetworkSet: { plural: "globalnetworksets", why: noPolicy },
  Tier: { plural: "tiers", why: noPolicy },
  HostEndpoint: { plural: "hostendpoints", why: noPolicy },
  KubeControllersConfiguration: {
    plural: "kubecontrollersconfigurations",
    why: "it is for Calico's kube-controllers, and Tortie does not read it",
  },
  CalicoNodeStatus: { plural: "caliconodestatuses", why: 'Calico\'s node answers it; Tortie has "tortie node status"' },
};

export function isShown(kind: Kind): kind is ShownKind {
  return kind in shownKinds;
}

/** Whether names are unique only in their namespace. */
export function isNamespaced(kind: Kind): boolean {
  return kind === "WorkloadEndpoint" || (isShown(kind) && shownKinds[kind].isNamespaced === true);
}

/** By kind. */
export function pluralsOfShown(): Readonly<Record<ShownKind, string>> {
  return mapped(({ plural }) => plural);
}

/** One value for each. */
export function forShown<T>(value: T): Readonly<Record<ShownKind, T>> {
  return mapped(() => value);
}

function mapped<T>(value: (shown: Shown) => T): Readonly<Record<ShownKind, T>> {
  return Object.fromEntries(Object.entries(shownKinds).map(([kind, shown]) => [kind, value(shown)])) as Record<
    ShownKind,
    T
  >;
}
