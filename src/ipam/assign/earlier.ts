/** A pod may take over the address of its own earlier sandbox that was never deleted. */
import type { Attachment } from "../../identity/attachment.ts";
import type { Pod } from "../../identity/pod.ts";
import { isSamePod } from "../../identity/pod.ts";
import type { AllocationAttribute } from "../model/block.ts";
import { ownerOfHandle } from "../model/handle.ts";

/**
 * Tells of who holds an address whether that is an earlier sandbox of the same pod, on the same network and interface (the runtime was
 * killed, or the node's agent). The block itself notes the pod, so that it works behind every main plugin. A container without a pod has no
 * earlier one.
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
