import { setLink } from "../../netlink/link.ts";
import type { LinkUp } from "../../plan/resource.ts";
import type { MessageDriver } from "../driver.ts";
import { differenceSuffix } from "../places.ts";

/** Not taken back: a link that this call did not make may have been up before. */
export const upDriver: MessageDriver<LinkUp> = {
  how: "message",
  describe: ({ link }) => `link ${link} up`,
  links: ({ link }) => [link],
  create: ({ link }, indexOf) => setLink(indexOf(link), { up: true }),
  judge({ link, at }, world) {
    const found = world.view(at).link(link);
    if (found === undefined) return [`link ${link} is missing${differenceSuffix(at)}`];
    return found.up ? [] : [`link ${link} is down${differenceSuffix(at)}`];
  },
  mayReplace: () => false,
};
