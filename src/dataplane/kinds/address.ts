import { familyOf } from "../../net/address.ts";
import { addAddress, deleteAddress } from "../../netlink/address.ts";
import type { LinkAddress } from "../../plan/resource.ts";
import type { MessageDriver } from "../driver.ts";
import { differenceSuffix } from "../places.ts";

export const addressDriver: MessageDriver<LinkAddress> = {
  how: "message",
  describe,
  links: ({ link }) => [link],
  create: ({ link, address, noDad }, indexOf) => addAddress(indexOf(link), address, noDad === true),
  remove: ({ link, address }, indexOf) => deleteAddress(indexOf(link), address),
  judge(resource, world) {
    const { link, address, at } = resource;
    const view = world.view(at);
    const index = view.link(link)?.index;
    const found = view.addresses(familyOf(address)).some((has) => has.index === index && has.address === address);
    return found ? [] : [`${describe(resource)} is missing${differenceSuffix(at)}`];
  },
  mayReplace: () => false,
};

function describe({ link, address }: LinkAddress): string {
  return `address ${address} dev ${link}`;
}
