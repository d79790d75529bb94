import { familyOf } from "../../net/address.ts";
import { addNeighbour, deleteNeighbour } from "../../netlink/neighbour.ts";
import type { Neighbour } from "../../plan/resource.ts";
import type { MessageDriver } from "../driver.ts";
import { differenceSuffix } from "../namespaces.ts";

export const neighbourDriver: MessageDriver<Neighbour> = {
  how: "message",
  describe,
  links: ({ link }) => [link],
  create: ({ link, address, mac }, { indexOf }, replace) => addNeighbour(indexOf(link), address, mac, replace),
  remove: ({ link, address }, { indexOf }) => deleteNeighbour(indexOf(link), address),
  diff(resource, namespaces) {
    const { link, address, mac, at } = resource;
    const state = namespaces.state(at);
    const index = state.link(link)?.index;
    const found = state.neighbours(familyOf(address)).find((has) => has.index === index && has.address === address);
    const suffix = differenceSuffix(at);
    if (found === undefined) return [`${describe(resource)} is missing${suffix}`];
    if (found.mac !== mac) return [`neighbour ${address} dev ${link} has lladdr ${found.mac}, wanted ${mac}${suffix}`];
    return found.permanent ? [] : [`neighbour ${address} dev ${link} is not permanent${suffix}`];
  },
  // An entry that the kernel learned has no owner.
  mayReplace: () => true,
};

function describe({ link, address, mac }: Neighbour): string {
  return `neighbour ${address} lladdr ${mac} dev ${link}`;
}
