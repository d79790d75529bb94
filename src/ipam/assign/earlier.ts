/** A pod may take over the address of its own earlier sandbox if that was never deleted. */
import type { Attachment } from "../../identity/attachment.ts";
import type { Pod } from "../../identity/pod.ts";
import { isSamePod } from "../../identity/pod.ts";
import type { AllocationAttribute } from "../model/block.ts";
import { ownerOfHandle } from "../model/handle.ts";

/**
 * Returns a test whether the holder of an address is an earlier sandbox of the same pod, on the same network and interface (the runtime or the
 * node's agent was killed). The block itself records the pod, so this works with every main plugin. A container without a pod has no earlier
 * sandbox.
 */
export function isEarlierSandbox(
  { network, containerId, ifname }: Attachment,
  pod: Pod | undefined,
): (holder: AllocationAttribute) => boolean {
  return ({ handle_id, secondary }) => {
    const other = ownerOfHandle(handle_id ?? "");
    const { namespace, pod: name } = secondary ?? {};
    if (pod === undefined || other === undefined || namespace === undefined || name === undefined) return false;
    if (other.network !== network || other.ifname !== ifname || other.containerId === containerId) return false;
    return isSamePod({ namespace, name }, pod);
  };
}
