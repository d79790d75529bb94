/** Handles with the IDs of Calico 2: `<namespace>.<pod>` or the bare container ID. DEL releases those that an upgrade left behind. */
import type { Attachment } from "../../identity/attachment.ts";
import type { Pod } from "../../identity/pod.ts";
import type { Transaction } from "../../store/transaction.ts";
import type { Assigned } from "../model/handle-contents.ts";
import { releaseByHandle } from "./release.ts";

export function legacyHandles({ containerId, ifname }: Attachment, pod: Pod | undefined): readonly string[] {
  if (ifname !== "eth0") return [];
  return [pod === undefined ? containerId : `${pod.namespace}.${pod.name}`];
}

/**
 * Releases their addresses. `<namespace>.<pod>` may equal `<network>.<containerID>` of another network: addresses with a recorded interface are
 * not Calico 2's and stay.
 */
export function* releaseLegacy(handleIds: readonly string[]): Transaction<readonly Assigned[]> {
  const released: Assigned[] = [];
  for (const handleId of handleIds) {
    released.push(...(yield* releaseByHandle(handleId, (_, { secondary }) => secondary?.interface === undefined)));
  }
  return released;
}
