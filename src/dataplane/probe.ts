/**
 * Whether the kernel has a feature, asked without making anything: each request is one that the kernel must refuse, and how it refuses
 * tells whether it knows the kind. It loads the module on the way, as the first real use would.
 */

import type { Sys } from "../host/sys.ts";
import { probeLinkKind } from "../netlink/link.ts";
import { probeQdiscKind } from "../netlink/qdisc.ts";
import { probeNft } from "./nft-session.ts";
import { Places } from "./places.ts";
import { refusal, refusedWith } from "./refusal.ts";

export interface Features {
  readonly links?: readonly ("veth" | "ifb")[];
  readonly qdiscs?: readonly "tbf"[];
  readonly nft?: boolean;
}

/** Throws `CniError` 100 that names the first feature that is missing. */
export function probeFeatures(sys: Sys, { links = [], qdiscs = [], nft = false }: Features): void {
  const places = new Places({ sys });
  try {
    const conversation = places.conversation("host");
    for (const kind of links) {
      const outcome = conversation.request(probeLinkKind(kind));
      if (!refusedWith(outcome, "EINVAL")) throw refusal(`create links of kind "${kind}"`, outcome);
    }
    for (const kind of qdiscs) {
      const outcome = conversation.request(probeQdiscKind(kind));
      if (!refusedWith(outcome, "EINVAL")) throw refusal(`create qdiscs of kind "${kind}"`, outcome);
    }
  } finally {
    places.close();
  }
  if (nft) probeNft(sys);
}
