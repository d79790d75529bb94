/** Whether a pod of the API server has addresses that blocks record for it. */
import { addressOf } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";
import { read, type Transaction } from "../../store/transaction.ts";
import { keyOfPod } from "../endpoints/record.ts";
import { type Holding, type Owner, ownerOf } from "./holding.ts";

interface PodEndpointSpec {
  readonly node?: string;
  readonly containerID?: string;
  readonly ipNetworks?: readonly string[];
}

/** Only in Kubernetes. `false` if the addresses name no pod. */
export function* hasLivingPod(node: string, holding: Holding): Transaction<boolean> {
  const owner = ownerOf(holding);
  if (owner.pod === undefined) return false;
  const pod = yield* read(keyOfPod(node, owner.pod, "eth0"));
  return pod !== undefined && isOfPod(pod, node, holding, owner);
}

/**
 * A pod owns what its present sandbox has, and what it says are its addresses. A pod that says nothing of them yet may be starting. An earlier
 * sandbox's addresses are unowned once the pod has others.
 */
function isOfPod(pod: StoredObject, node: string, { addresses }: Holding, { attachment }: Owner): boolean {
  const { node: itsNode, containerID = "", ipNetworks = [] } = pod.spec as PodEndpointSpec;
  const isFinished = "status" in pod;
  if (itsNode !== node || isFinished) return false;
  const own = new Set(ipNetworks.map(addressOf));
  if (addresses.some(({ address }) => own.has(address))) return true;
  if (containerID === "") return own.size === 0;
  return containerID === attachment?.containerId;
}
