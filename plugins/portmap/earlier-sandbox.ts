/** Whose host ports a pod may take over: those of its own earlier sandboxes, whose DEL never came (the runtime was killed, or the node's agent). */
import type { Attachment } from "../../src/cni/attachment.ts";
import { isSamePod, podOf } from "../../src/cni/pod.ts";
import { readEndpoint } from "../../src/endpoint/endpoint.ts";
import type { Sys } from "../../src/host/sys.ts";

/**
 * Whether an attachment was an earlier sandbox's of the same pod, on the same network and interface. What says so is the endpoint's record that
 * `calico` writes; behind another main plugin there is none, and nothing is taken over.
 */
export function isEarlierSandbox(
  attachment: Attachment,
  args: Readonly<Record<string, string>>,
  sys: Sys,
): (other: Attachment) => boolean {
  const pod = podOf(args);
  return (other) => {
    if (pod === undefined || other.containerId === attachment.containerId) return false;
    if (other.network !== attachment.network || other.ifname !== attachment.ifname) return false;
    const itsPod = readEndpoint(sys, other)?.pod;
    return itsPod !== undefined && isSamePod(itsPod, pod);
  };
}
