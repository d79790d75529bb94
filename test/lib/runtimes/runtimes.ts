/** The CNI_ARGS and capability arguments of each container runtime, with its order, its case of keys and its bursts. */
import type { JsonObject } from "../conflist.ts";

export interface PodRequests {
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
  /** Kubernetes' annotations, for runtimes that pass them on. */
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Sent {
  readonly args: readonly (readonly [string, string])[];
  readonly capabilities: JsonObject;
}

/** go-cni's structs have no JSON tags, so Go's field names are the keys. CNI_ARGS come from a map, in random order. */
export function containerd(pod: PodRequests): Sent {
  return {
    args: [
      ["IgnoreUnknown", "1"],
      ["K8S_POD_NAME", pod.name],
      ["K8S_POD_INFRA_CONTAINER_ID", pod.containerId],
      ["K8S_POD_UID", uidOf(pod)],
      ["K8S_POD_NAMESPACE", pod.namespace],
    ],
    capabilities: {
      dns: { Servers: ["10.96.0.10"], Searches: null, Options: null },
      ...(pod.annotations && { "io.kubernetes.cri.pod-annotations": pod.annotations }),
      ...goPorts(pod),
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

/** The same library without Kubernetes: fixed IP and MAC addresses are in CNI_ARGS. */
export function nerdctl(pod: PodRequests): Sent {
  return {
    args: [
      ["IgnoreUnknown", "1"],
      ["NERDCTL_CNI_DHCP_HOSTNAME", pod.name],
      ...(pod.mac ? [["MAC", pod.mac] as const] : []),
      ...(pod.ip ? [["IP", pod.ip] as const] : []),
    ],
    capabilities: goPorts(pod),
  };
}

/** CRI-O implements host ports itself and never passes portMappings. */
export function crio(pod: PodRequests): Sent {
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
      ...(pod.annotations && { "io.kubernetes.cri.pod-annotations": pod.annotations }),
      ...(shaped(pod) && {
        bandwidth: {
          ...(pod.ingressRate && { ingressRate: pod.ingressRate, ingressBurst: crioBurst }),
          ...(pod.egressRate && { egressRate: pod.egressRate, egressBurst: crioBurst }),
        },
      }),
    },
  };
}

/** podman sends aliases as a map, where the conventions specify a list. */
export function podman(pod: PodRequests): Sent {
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

/** A plugin that acts as a runtime: it turns the pod's annotation into capabilities, and adds the arguments of the runtime above it. */
export function multus(pod: PodRequests): Sent {
  return {
    args: crio(pod).args.filter(([key]) => key.startsWith("K8S_") || key === "IgnoreUnknown"),
    capabilities: {
      ...(pod.ip && { ips: [`${pod.ip}/24`] }),
      ...(pod.mac && { mac: pod.mac }),
      ...(pod.ports && { portMappings: pod.ports }),
      ...(shaped(pod) && {
        bandwidth: {
          ingressRate: pod.ingressRate ?? 0,
          ingressBurst: pod.ingressRate ?? 0,
          egressRate: pod.egressRate ?? 0,
          egressBurst: pod.egressRate ?? 0,
        },
      }),
      deviceID: "",
    },
  };
}

/** CNI_ARGS and CAP_ARGS as a user types them. */
export function cnitool(pod: PodRequests): Sent {
  const { capabilities } = multus(pod);
  return { args: [["K8S_POD_NAME", pod.name]], capabilities };
}

/** In bits: 2^32-1 (containerd, internal/cri/server). */
export const containerdBurst = 2 ** 32 - 1;
/** In bits: the largest burst whose bytes fit 32 bits (CRI-O, server/sandbox_network.go). */
export const crioBurst = (2 ** 32 - 1) * 8 - 1;

function goPorts({ ports }: PodRequests): JsonObject {
  if (ports === undefined) return {};
  return {
    portMappings: ports.map(({ hostPort, containerPort, protocol, hostIP = "" }) => ({
      HostPort: hostPort,
      ContainerPort: containerPort,
      Protocol: protocol.toLowerCase(),
      HostIP: hostIP,
    })),
  };
}

function shaped({ ingressRate, egressRate }: PodRequests): boolean {
  return ingressRate !== undefined || egressRate !== undefined;
}

function uidOf(pod: PodRequests): string {
  return pod.uid ?? "2c0a6f0e-3c7e-4f8e-9a51-5b6f0d1f7a11";
}
