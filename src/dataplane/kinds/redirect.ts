import { addRedirect, deleteRedirect } from "../../netlink/filter.ts";
import type { Redirect } from "../../plan/resource.ts";
import type { MessageDriver } from "../driver.ts";
import { differenceSuffix } from "../namespaces.ts";

export const redirectDriver: MessageDriver<Redirect> = {
  how: "message",
  describe,
  links: ({ link, target }) => [link, target],
  create: ({ link, target }, { indexOf }, replace) => addRedirect(indexOf(link), indexOf(target), replace),
  remove: ({ link }, { indexOf }) => deleteRedirect(indexOf(link)),
  diff(redirect, namespaces) {
    const { link, target, at } = redirect;
    const state = namespaces.state(at);
    const index = state.link(link)?.index;
    const targetIndex = state.link(target)?.index;
    const redirects = index === undefined ? [] : state.filters(index).filter(({ redirectsTo }) => redirectsTo);
    if (targetIndex !== undefined && redirects.some(({ redirectsTo }) => redirectsTo === targetIndex)) return [];
    const other = redirects[0] === undefined ? "" : ` (found one to ${state.linkName(redirects[0].redirectsTo)})`;
    return [`${describe(redirect)} is missing${differenceSuffix(at)}${other}`];
  },
  mayReplace: () => true,
};

function describe({ link, target }: Redirect): string {
  return `redirect of packets from ${link} to ${target}`;
}
