/** Turns off that a tunnel device promises checksums (`VxlanLink.checksumOffload`). */
import { disableFeature, getEthtoolFamily, getFeatures, hasFeature, readFamily } from "../../netlink/ethtool.ts";
import type { Reply, Request } from "../../netlink/message.ts";
import { NetlinkConnection } from "../connection.ts";
import { KernelError, MissingFeature } from "../errors.ts";
import type { Pass } from "./pass.ts";

/** The inner packet's checksum, wherever its header is. */
const feature = "tx-checksum-ip-generic";

/** Throws `MissingFeature` before Linux 5.6, `KernelError` if the kernel refuses. */
export function disableChecksumOffload(name: string, pass: Pass): void {
  const index = pass.indexOf(name);
  const what = ["set", `${feature} of link ${name} off`] as const;
  const connection = new NetlinkConnection(pass.sys.openNetlink("generic"));
  const ask = (request: Request): Reply | undefined => {
    const outcome = connection.request(request);
    if (outcome.errno !== 0) throw new KernelError(what, outcome);
    return outcome.replies[0];
  };
  try {
    const [answer] = connection.request(getEthtoolFamily()).replies;
    const family = answer && readFamily(answer);
    if (family === undefined) {
      const reason = "the kernel has no netlink interface of ethtool, which Linux 5.6 has";
      throw new MissingFeature(what, { feature: "ethtool", reason });
    }
    const features = ask(getFeatures(family, index));
    if (features === undefined || !hasFeature(features, feature)) return;
    ask(disableFeature(family, index, feature));
    pass.applied++;
  } finally {
    connection.close();
  }
}
