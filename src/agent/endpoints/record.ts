/**
 * The endpoints of this node's attachments, as Calico records them, for programs that configure routes and policy.
 *
 *     Kubernetes   three annotations of the pod; attachments without a pod, and other interfaces of a pod, are not recorded
 *     etcd         a WorkloadEndpoint, and a Profile for attachments without policy
 *
 * **The record of another sandbox stays**: the DEL of a pod's old sandbox may come after the ADD of its new one.
 */

import { CoreError } from "../../errors/core-error.ts";
import { endpointName } from "../../identity/endpoint-name.ts";
import type { Pod } from "../../identity/pod.ts";
import type { NatMessage } from "../../node-protocol/messages.ts";
import type { EndpointKey } from "../../store/key.ts";
import type { StoredObject } from "../../store/object.ts";
import { TooManyConflicts } from "../../store/too-many-conflicts.ts";
import { create, maxTries, pause, read, remove, type Transaction, update } from "../../store/transaction.ts";
import type { Workload } from "../workload.ts";

export interface EndpointRecord extends Workload {
  /** With their prefix lengths. */
  readonly addresses: readonly string[];
  readonly hostInterface: string;
  readonly mac: string;
  readonly profiles: readonly string[];
  readonly ipNats?: readonly NatMessage[] | undefined;
  readonly allowedSources?: readonly string[] | undefined;
}

interface EndpointSpec {
  readonly containerID?: string;
}

/** The API server has no such pod: it was deleted while its sandbox was created. */
export class PodGone extends CoreError {
  override readonly name = "PodGone";
  readonly kind = "invalid";

  constructor({ namespace, name }: Pod) {
    super(
      `cannot attach pod "${namespace}/${name}": the API server has no such pod, or another one of its name by now`,
    );
  }
}

/** `endpoint`: the interface in the sandbox. */
export function keyOfPod(node: string, { namespace, name }: Pod, endpoint: string): EndpointKey {
  return { kind: "WorkloadEndpoint", namespace, node, orchestrator: "k8s", workload: name, endpoint };
}

function keyOf({ node, attachment, pod }: Workload): EndpointKey {
  const { containerId, ifname } = attachment;
  if (pod !== undefined) return keyOfPod(node, pod, ifname);
  const common = { kind: "WorkloadEndpoint", namespace: "default", node, endpoint: ifname } as const;
  return { ...common, orchestrator: "cni", workload: containerId };
}

/** `known`: the pod's endpoint as it was read shortly before. Throws `PodGone`. */
export function* putPodEndpoint(
  record: EndpointRecord & { readonly pod: Pod },
  known: StoredObject | undefined,
): Transaction<void> {
  const { pod, attachment, addresses } = record;
  const found = known ?? (yield* read(keyOf(record)));
  if (found === undefined) throw new PodGone(pod);
  const spec = { ...(found.spec as object), containerID: attachment.containerId, ipNetworks: addresses };
  if ((yield* update({ ...found, spec })) === undefined) throw new PodGone(pod);
}

/** Creates or updates it. Most are new, so it is read only if it exists. */
export function* putEndpoint(record: EndpointRecord): Transaction<void> {
  const key = keyOf(record);
  if ((yield* create(objectOf(record, key, undefined))) !== undefined) return;
  for (let tries = 0; tries < maxTries; tries++) {
    yield* pause(tries);
    const found = yield* read(key);
    const object = objectOf(record, key, found);
    if ((found === undefined ? yield* create(object) : yield* update(object)) !== undefined) return;
  }
  throw new TooManyConflicts(`record endpoint "${endpointName(key)}"`);
}

function objectOf(record: EndpointRecord, key: EndpointKey, found: StoredObject | undefined): StoredObject {
  const { attachment, pod, addresses, hostInterface, mac, profiles, ipNats, allowedSources } = record;
  const { namespace, orchestrator, node } = key;
  const labels = { "projectcalico.org/namespace": namespace, "projectcalico.org/orchestrator": orchestrator };
  return {
    apiVersion: "projectcalico.org/v3",
    kind: "WorkloadEndpoint",
    metadata: {
      ...found?.metadata,
      name: endpointName(key),
      namespace,
      labels: { ...found?.metadata.labels, ...labels },
    },
    spec: {
      orchestrator,
      node,
      containerID: attachment.containerId,
      ...(pod !== undefined && { pod: pod.name }),
      endpoint: attachment.ifname,
      ipNetworks: addresses,
      ...(ipNats && { ipNATs: ipNats }),
      profiles,
      interfaceName: hostInterface,
      mac,
      ...(allowedSources && { allowSpoofedSourcePrefixes: allowedSources }),
    },
  };
}

/** Removes it, unless it belongs to another sandbox. Returns whether it existed. */
export function* deleteEndpoint(workload: Workload): Transaction<boolean> {
  const key = keyOf(workload);
  for (let tries = 0; tries < maxTries; tries++) {
    yield* pause(tries);
    const found = yield* read(key);
    if (found === undefined) return false;
    const { containerID = "" } = found.spec as EndpointSpec;
    if (containerID !== "" && containerID !== workload.attachment.containerId) return false;
    if (yield* remove(found)) return true;
  }
  throw new TooManyConflicts(`remove endpoint "${endpointName(key)}"`);
}

/** A profile that allows all egress, and ingress from the same profile, or, for pods, from everywhere. As in Calico, an existing one stays unchanged. */
export function* makeProfile(name: string, isOfPods: boolean): Transaction<void> {
  if ((yield* read({ kind: "Profile", name })) !== undefined) return;
  const ingress = isOfPods ? { action: "Allow" } : { action: "Allow", source: { selector: `has(${name})` } };
  const spec = { ingress: [ingress], egress: [{ action: "Allow" }], labelsToApply: { [name]: "" } };
  yield* create({ apiVersion: "projectcalico.org/v3", kind: "Profile", metadata: { name }, spec });
}
