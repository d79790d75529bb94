/**
 * Sets links up. A claimed link has its owner as alias while it is up: several attachments of a sandbox may need it, and only the owner's DEL
 * sets it down.
 */
import { setLink } from "../../netlink/link.ts";
import type { LinkUp } from "../../plan/resource.ts";
import type { NetlinkConnection } from "../connection.ts";
import type { MessageDriver } from "../driver.ts";
import { hasErrno, KernelError } from "../errors.ts";
import { findLink } from "../kernel-state.ts";
import { differenceSuffix, type Namespaces, placeText } from "../namespaces.ts";

/** Only a claimed link is rolled back; any other link may have been up before. */
export const upDriver: MessageDriver<LinkUp> = {
  how: "message",
  verb: "set",
  describe: ({ link }) => `link ${link} up`,
  links: ({ link }) => [link],
  create: ({ link, claim }, { indexOf, owner }) =>
    setLink(indexOf(link), { up: true, alias: claim ? owner : undefined }),
  remove: ({ link, claim }, { owner }, connection) => (claim ? lowering(connection, link, owner) : undefined),
  diff({ link, at }, namespaces) {
    const found = namespaces.state(at).link(link);
    if (found === undefined) return [`link ${link} is missing${differenceSuffix(at)}`];
    return found.up ? [] : [`link ${link} is down${differenceSuffix(at)}`];
  },
  mayReplace: () => false,
};

/** Sets a link down if the owner claimed it. A missing link is not an error. Throws `KernelError`. */
export function setLinkDown(namespaces: Namespaces, { at, link }: Pick<LinkUp, "at" | "link">, owner: string): void {
  const connection = namespaces.connection(at);
  const request = lowering(connection, link, owner);
  const outcome = request && connection.request(request);
  if (outcome === undefined || outcome.errno === 0 || hasErrno(outcome, "ENODEV")) return;
  throw new KernelError(["set", `link ${link} down${placeText(at)}`], outcome);
}

function lowering(connection: NetlinkConnection, link: string, owner: string) {
  const found = findLink(connection, link);
  return found?.alias === owner ? setLink(found.index, { up: false, alias: "" }) : undefined;
}
