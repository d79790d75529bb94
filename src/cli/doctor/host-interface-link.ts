/** Finds the host interface of an interface in a sandbox. */
import type { Attachment } from "../../identity/attachment.ts";
import type { SeenNamespace } from "../node/facts.ts";
import type { IpLink } from "../node/iproute.ts";

/** The host interface whose peer is an interface in a sandbox. */
export function hostInterfaceLink(
  { ifname }: Attachment,
  inside: SeenNamespace | undefined,
  links: readonly IpLink[],
): IpLink | undefined {
  const end = inside?.interfaces.find((one) => one.ifname === ifname);
  if (end?.ifindex === undefined) return undefined;
  return links.find((link) => link.ifindex === end.link_index && link.link_index === end.ifindex);
}
