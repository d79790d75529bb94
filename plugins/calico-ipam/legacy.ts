/** Handles by the IDs of Calico 2: `<namespace>.<pod>` or the bare container ID. DEL releases what an upgrade left under them. */

import { podOf } from "../../src/cni/pod.ts";
import type { Attachment } from "../../src/identity/attachment.ts";
import type { Assigned } from "../../src/ipam/model/handle-contents.ts";
import { releaseByHandle } from "../../src/ipam/release/release.ts";
import type { Transaction } from "../../src/store/transaction.ts";

export function legacyHandles(
  { containerId, ifname }: Attachment,
  args: Readonly<Record<string, string>>,
): readonly string[] {
  if (ifname !== "eth0") return [];
  const pod = podOf(args);
  return [pod === undefined ? containerId : `${pod.namespace}.${pod.name}`];
}

/**
 * Releases what they hold. `<namespace>.<pod>` reads like another network's `<network>.<containerID>`: what we noted an interface with is
 * none of Calico 2's and stays.
 */
export function* releaseLegacy(handleIds: readonly string[]): Transaction<readonly Assigned[]> {
  const released: Assigned[] = [];
  for (const handleId of handleIds) {
    released.push(...(yield* releaseByHandle(handleId, (_, { secondary }) => secondary?.interface === undefined)));
  }
  return released;
}
