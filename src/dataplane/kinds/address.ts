import { familyOf } from "../../net/address.ts";
import { addAddress, deleteAddress, IFA_F_NODAD, IFA_F_NOPREFIXROUTE } from "../../netlink/address.ts";
import type { LinkAddress } from "../../plan/resource.ts";
import type { MessageDriver } from "../driver.ts";
import { differenceSuffix } from "../namespaces.ts";

export const addressDriver: MessageDriver<LinkAddress> = {
  how: "message",
  describe,
  links: ({ link }) => [link],
  create: ({ link, address, noDad, noPrefixRoute }, { indexOf }) =>
    addAddress(indexOf(link), address, (noDad ? IFA_F_NODAD : 0) | (noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0)),
  remove: ({ link, address }, { indexOf }) => deleteAddress(indexOf(link), address),
  diff(resource, namespaces) {
    const { link, address, at } = resource;
    const state = namespaces.state(at);
    const index = state.link(link)?.index;
    const found = state.addresses(familyOf(address)).some((has) => has.index === index && has.address === address);
    return found ? [] : [`${describe(resource)} is missing${differenceSuffix(at)}`];
  },
  mayReplace: () => false,
};

function describe({ link, address }: LinkAddress): string {
  return `address ${address} dev ${link}`;
}
