/** Which interface an address is behind, as the kernel's routes have it. */
import type { Sys } from "../host/sys.ts";
import { addressBytes, familyOf } from "../net/address.ts";
import { AttributeWriter, readAttributes, u32Of } from "../netlink/attribute.ts";
import { getLink, readLink } from "../netlink/link.ts";
import { NLM_F_ACK } from "../netlink/message.ts";
import { RTA_DST, RTA_GATEWAY, RTA_OIF, RTA_VIA, routeHeaderLength } from "../netlink/route.ts";
import { addressFamily, RTM_GETROUTE } from "../netlink/rtnetlink.ts";
import { Conversation } from "./conversation.ts";
import { refusal } from "./refusal.ts";

/** The interface's name; `undefined` when the way leads through a gateway. Throws `CniError` 100 when there is no route. */
export function interfaceOf(address: string, sys: Sys): string | undefined {
  const conversation = new Conversation(sys.openNetlink("route"));
  try {
    const what = `find the interface of ${address}`;
    const bytes = addressBytes(address);
    // struct rtmsg: family, destination's length; the rest is of no concern to a lookup.
    const writer = new AttributeWriter()
      .byte(addressFamily(familyOf(address)))
      .byte(bytes.length * 8)
      .half(0);
    const payload = writer.word(0).word(0).bytes(RTA_DST, bytes).finish();
    const [route] = conversation.exchange([{ type: RTM_GETROUTE, flags: NLM_F_ACK, payload }]);
    const reply = route?.replies[0];
    const attributes = reply && readAttributes(reply.payload, routeHeaderLength);
    const index = attributes?.get(RTA_OIF);
    if (attributes?.has(RTA_GATEWAY) || attributes?.has(RTA_VIA)) return undefined;
    if (index === undefined) throw refusal(what, route ?? { errno: 0, text: "no answer" });
    const [link] = conversation.exchange([getLink(u32Of(index))]);
    const found = link?.replies[0];
    if (found === undefined) throw refusal(what, link ?? { errno: 0, text: "no answer" });
    return readLink(found).name;
  } finally {
    conversation.close();
  }
}
