/** What each container runtime sends with an attachment: CNI_ARGS and capability arguments, in its order, its key case, its bursts. */
import type { JsonObject } from "./conflist.ts";

export interface PodWishes {
  readonly namespace: string;
  readonly name: string;
  readonly containerId: string;
  readonly uid?: string;
  readonly ports?: readonly {
    readonly hostPort: number;
    readonly containerPort: number;
    readonly protocol: string;
    readonly hostIP?: string;
  }[];
  /** Bits per second. */
  readonly ingressRate?: number;
  readonly egressRate?: number;
  readonly ip?: string;
  readonly mac?: string;
}

export interface Sent {
  readonly args: readonly (readonly [string, string])[];
  readonly capabilities: JsonObject;
}

/** go-cni's structs carry no JSON tags: Go's field names are the keys. CNI_ARGS come out of a map, in any order. */
export function containerd(pod: PodWishes): Sent {
  return {
    args: [
      ["IgnoreUnknown", "1"],
      ["K8S_POD_NAME", pod.name],
      ["K8S_POD_INFRA_CONTAINER_ID", pod.containerId],
      ["K8S_POD_UID", uidOf(pod)],
      ["K8S_POD_NAMESPACE", pod.namespace],
    ],
    capabilities: {
      dns: { Servers: [], Searches: [], Options: [] },
      ...(pod.ports && {
        portMappings: pod.ports.map(({ hostPort, containerPort, protocol, hostIP = "" }) => ({
          HostPort: hostPort,
          ContainerPort: containerPort,
          Protocol: protocol.toLowerCase(),
          HostIP: hostIP,
        })),
      }),
      ...(shaped(pod) && {
        bandwidth: {
          IngressRate: pod.ingressRate ?? 0,
          IngressBurst: pod.ingressRate ? containerdBurst : 0,
          EgressRate: pod.egressRate ?? 0,
          EgressBurst: pod.egressRate ? containerdBurst : 0,
        },
      }),
    },
  };
}

/** Host ports are CRI-O's own business: it never passes portMappings. */
export function crio(pod: PodWishes): Sent {
  return {
    args: [
      ["IgnoreUnknown", "1"],
      ["K8S_POD_NAMESPACE", pod.namespace],
      ["K8S_POD_NAME", pod.name],
      ["K8S_POD_INFRA_CONTAINER_ID", pod.containerId],
      ["K8S_POD_UID", uidOf(pod)],
      ...(pod.ip ? [["IP", pod.ip] as const] : []),
      ...(pod.mac ? [["MAC", pod.mac] as const] : []),
    ],
    capabilities: {
      cgroupPath: "kubepods-besteffort.slice",
      ...(shaped(pod) && {
        bandwidth: {
          ...(pod.ingressRate && { ingressRate: pod.ingressRate, ingressBurst: crioBurst }),
          ...(pod.egressRate && { egressRate: pod.egressRate, egressBurst: crioBurst }),
        },
      }),
    },
  };
}

/** podman sends aliases as a map, where the conventions want a list. */
export function podman(pod: PodWishes): Sent {
  return {
    args: [
      ["IgnoreUnknown", "1"],
      ["K8S_POD_NAME", pod.name],
      ...(pod.mac ? [["MAC", pod.mac] as const] : []),
      ...(pod.ip ? [["IP", pod.ip] as const] : []),
    ],
    capabilities: {
      aliases: { podman: [pod.name] },
      ...(pod.ip && { ips: [pod.ip] }),
      ...(pod.ports && { portMappings: pod.ports }),
    },
  };
}

/** In bits: 2^32-1 (containerd, internal/cri/server). */
export const containerdBurst = 2 ** 32 - 1;
/** In bits: the largest burst whose bytes fit 32 bits (CRI-O, server/sandbox_network.go). */
export const crioBurst = (2 ** 32 - 1) * 8 - 1;

function shaped({ ingressRate, egressRate }: PodWishes): boolean {
  return ingressRate !== undefined || egressRate !== undefined;
}

function uidOf(pod: PodWishes): string {
  return pod.uid ?? "2c0a6f0e-3c7e-4f8e-9a51-5b6f0d1f7a11";
}
