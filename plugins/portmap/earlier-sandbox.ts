/** Whose host ports a pod may take over: those of its own earlier sandboxes, whose DEL never came (the runtime was killed, or the node's agent). */
import type { Attachment } from "../../src/cni/attachment.ts";
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
  const { K8S_POD_NAMESPACE: namespace = "", K8S_POD_NAME: name = "" } = args;
  return (other) => {
    if (namespace === "" || name === "" || other.containerId === attachment.containerId) return false;
    if (other.network !== attachment.network || other.ifname !== attachment.ifname) return false;
    const pod = readEndpoint(sys, other)?.pod;
    return pod?.namespace === namespace && pod.name === name;
  };
}
