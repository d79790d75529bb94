/**
 * Calico's WorkloadEndpoint is Kubernetes' Pod: three annotations, written through `pods/status`, hold what a CNI plugin adds; everything else
 * follows from the pod.
 *
 *     cni.projectcalico.org/podIP: 192.168.230.1/32      the first address
 *     cni.projectcalico.org/podIPs: 192.168.230.1/32,…   all
 *     cni.projectcalico.org/containerID: 3f2a…           the sandbox that has them
 */

import { createHash } from "node:crypto";
import { endpointName } from "../../identity/endpoint-name.ts";
import { hostInterfacePrefix } from "../../identity/names.ts";
import type { StoredObject } from "../object.ts";
import type { Raw } from "./resources.ts";

const podIp = "cni.projectcalico.org/podIP";
const podIps = "cni.projectcalico.org/podIPs";
const containerId = "cni.projectcalico.org/containerID";
const amazonsPodIps = "vpc.amazonaws.com/pod-ips";
/** A pod has one endpoint, for this interface. */
const podInterface = "eth0";
/** The maximum length of a label's value. */
const maxLabelLength = 63;

export interface EndpointSpec {
  readonly orchestrator: "k8s";
  readonly node: string;
  readonly containerID: string;
  readonly pod: string;
  readonly endpoint: string;
  readonly serviceAccountName?: string;
  readonly ipNetworks?: readonly string[];
  readonly profiles: readonly string[];
  readonly interfaceName: string;
  readonly ports?: readonly EndpointPort[];
}

export interface EndpointPort {
  readonly name: string;
  readonly protocol: string;
  readonly port: number;
  readonly hostPort?: number;
}

export type PodEndpoint = StoredObject<EndpointSpec, "WorkloadEndpoint">;

/** The parts of a pod that are read. */
interface PodSpec {
  readonly nodeName?: string;
  readonly hostNetwork?: boolean;
  readonly serviceAccountName?: string;
  readonly containers?: readonly { readonly ports?: readonly ContainerPort[] }[];
}

interface ContainerPort {
  readonly name?: string;
  readonly containerPort: number;
  readonly hostPort?: number;
  readonly protocol?: string;
}

interface PodStatus {
  readonly phase?: string;
  readonly podIP?: string;
  readonly podIPs?: readonly { readonly ip: string }[];
}

/** Includes the pod's own annotations, which hold its requests, and the phase of one that has finished. Before the pod is scheduled, its endpoint has no node. */
export function decodePod(pod: Raw): PodEndpoint {
  const { name, uid, resourceVersion, creationTimestamp, labels, annotations = {} } = pod.metadata;
  const namespace = String(pod.metadata.namespace);
  const { nodeName = "", serviceAccountName, containers = [] } = (pod.spec ?? {}) as PodSpec;
  const ipNetworks = addressesOf(pod);
  const ports = containers.flatMap(({ ports = [] }) => ports.flatMap(decodePort));
  return {
    apiVersion: "projectcalico.org/v3",
    kind: "WorkloadEndpoint",
    metadata: {
      name: endpointName({ node: nodeName, orchestrator: "k8s", workload: name, endpoint: podInterface }),
      namespace,
      ...(uid !== undefined && { uid }),
      ...(resourceVersion !== undefined && { resourceVersion }),
      ...(creationTimestamp !== undefined && { creationTimestamp }),
      labels: { ...labels, ...labelsOf(namespace, serviceAccountName) },
      annotations,
    },
    spec: {
      orchestrator: "k8s",
      node: nodeName,
      containerID: annotations[containerId] ?? "",
      pod: name,
      endpoint: podInterface,
      ...(serviceAccountName !== undefined && { serviceAccountName }),
      ...(ipNetworks.length > 0 && { ipNetworks }),
      profiles: [
        `kns.${namespace}`,
        ...(serviceAccountName === undefined ? [] : [`ksa.${namespace}.${serviceAccountName}`]),
      ],
      interfaceName: hostInterfacePrefix + createHash("sha1").update(`${namespace}.${name}`).digest("hex").slice(0, 11),
      ...(ports.length > 0 && { ports }),
    },
    ...(isFinished(pod) && { status: { phase: (pod.status as PodStatus).phase } }),
  };
}

/** Whether all its containers have ended for good: it keeps no address. */
function isFinished({ status }: Raw): boolean {
  const { phase } = (status ?? {}) as PodStatus;
  return phase === "Failed" || phase === "Succeeded";
}

/** A merge patch of `pods/status`. It fails if another pod has the name by now. */
export function patchOfEndpoint({ metadata: { uid }, spec }: PodEndpoint): object {
  const addresses = spec.ipNetworks ?? [];
  const annotations = { [podIp]: addresses[0] ?? "", [podIps]: addresses.join(), [containerId]: spec.containerID };
  return { metadata: { ...(uid !== undefined && { uid }), annotations } };
}

/** The same for removing an endpoint: the pod keeps the ID of its last sandbox. It fails if the pod was changed since it was read. */
export function patchOfRemoval({ metadata: { uid, resourceVersion } }: PodEndpoint): object {
  return { metadata: { uid, resourceVersion, annotations: { [podIp]: "", [podIps]: "" } } };
}

/** With prefix lengths; none of a pod in the node's own network. The kubelet's report takes precedence over the plugin's annotation, because it follows the sandbox. */
function addressesOf(pod: Raw): readonly string[] {
  const { annotations = {}, deletionTimestamp } = pod.metadata;
  const { podIP, podIPs = [] } = (pod.status ?? {}) as PodStatus;
  const isReleased = deletionTimestamp !== undefined && annotations[podIp] === "";
  const { hostNetwork = false } = (pod.spec ?? {}) as PodSpec;
  if (hostNetwork || isFinished(pod) || isReleased) return [];
  const sources = [
    podIPs.map(({ ip }) => ip),
    [podIP ?? ""],
    split(annotations[podIps]),
    split(annotations[podIp]),
    split(annotations[amazonsPodIps]),
  ];
  const found = sources.map((addresses) => addresses.filter((address) => address !== ""));
  return (found.find(({ length }) => length > 0) ?? []).map(withLength);
}

function withLength(address: string): string {
  return address.includes("/") ? address : `${address}/${address.includes(":") ? 128 : 32}`;
}

function split(list = ""): readonly string[] {
  return list.split(",").map((address) => address.trim());
}

/** Only ports that have a name or a host port. */
function decodePort({ name = "", containerPort, hostPort, protocol = "TCP" }: ContainerPort): readonly EndpointPort[] {
  if (name === "" && hostPort === undefined) return [];
  return [{ name, protocol, port: containerPort, ...(hostPort !== undefined && { hostPort }) }];
}

function labelsOf(namespace: string, account = ""): Readonly<Record<string, string>> {
  return {
    "projectcalico.org/namespace": namespace,
    "projectcalico.org/orchestrator": "k8s",
    ...(account !== "" && account.length < maxLabelLength && { "projectcalico.org/serviceaccount": account }),
  };
}
