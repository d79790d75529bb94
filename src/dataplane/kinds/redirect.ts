import { addRedirect, deleteRedirect } from "../../netlink/filter.ts";
import type { Redirect } from "../../plan/resource.ts";
import type { MessageDriver } from "../driver.ts";
import { differenceSuffix } from "../places.ts";

export const redirectDriver: MessageDriver<Redirect> = {
  how: "message",
  describe,
  links: ({ link, target }) => [link, target],
  create: ({ link, target }, indexOf, replace) => addRedirect(indexOf(link), indexOf(target), replace),
  remove: ({ link }, indexOf) => deleteRedirect(indexOf(link)),
  judge(redirect, world) {
    const { link, target, at } = redirect;
    const view = world.view(at);
    const index = view.link(link)?.index;
    const targetIndex = view.link(target)?.index;
    const redirects = index === undefined ? [] : view.filters(index).filter(({ redirectsTo }) => redirectsTo);
    if (targetIndex !== undefined && redirects.some(({ redirectsTo }) => redirectsTo === targetIndex)) return [];
    const other = redirects[0] === undefined ? "" : ` (found one to ${view.linkName(redirects[0].redirectsTo)})`;
    return [`${describe(redirect)} is missing${differenceSuffix(at)}${other}`];
  },
  mayReplace: () => true,
};

function describe({ link, target }: Redirect): string {
  return `redirect of what arrives on ${link} to ${target}`;
}
