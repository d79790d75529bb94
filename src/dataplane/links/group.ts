/**
 * Deletes many links with one wait of the kernel's.
 *
 * Deleting a link takes 20 ms, nearly all of it waiting, alone or with others: 1,000 one by one take 20 s, as one group less than half a second.
 *
 *     dump ─▶ groups that no link has ─▶ SETLINK: each of ours ─▶ dump ─▶ a group has ours alone ─▶ DELLINK of the group
 *
 * Killed before the last step, it leaves links in a group, which changes nothing for them: they are found by alias or name again.
 */
import { deleteLinkGroup, dumpLinks, type Link, readLink, setLink } from "../../netlink/link.ts";
import { deleteKernelRoutes } from "../../netlink/route.ts";
import type { Namespaces } from "../namespaces.ts";

/** Our groups: these 65,536 numbers, with "to" in the upper half. No link stays in one, unless the process was killed that put it there. */
export const firstGroup = 0x746f_0000;

/** No other process can change links while it takes a group apart: a tenth of a second for so many. */
const groupSize = 250;

/**
 * Deletes the host's links that `isOurs` holds for, in groups. Best effort: a group is left where the kernel refuses, or where another process
 * has put a link into it, for a removal one by one to say why.
 */
export function deleteTogether(isOurs: (link: Link) => boolean, namespaces: Namespaces): void {
  const links = hostLinks(namespaces);
  const ours = links.filter(isOurs);
  if (ours.length < 2) return;
  const connection = namespaces.connection("host");
  const free = freeGroups(links, Math.ceil(ours.length / groupSize), namespaces);
  const groupOf = new Map(ours.map(({ index }, at) => [index, free[Math.floor(at / groupSize)]]));
  // For each link that goes, the kernel walks through all of IPv6's routes, twice. Without those of the links it has little to walk through.
  connection.exchange(ours.flatMap(({ index }) => deleteKernelRoutes(index)));
  // By index, because a name may be reused. What has vanished meanwhile is refused, and is not missed.
  connection.exchange([...groupOf].map(([index, group = 0]) => setLink(index, { group })));
  // One dump for all groups: reading it takes longer than the rest.
  const members = hostLinks(namespaces).filter(({ group }) => group >= firstGroup);
  for (const group of free) {
    const own = members.filter((link) => link.group === group);
    if (own.every((link) => groupOf.get(link.index) === group && isOurs(link))) {
      connection.request(deleteLinkGroup(group));
    }
  }
}

/** All links of the host's namespace. */
export function hostLinks(namespaces: Namespaces): readonly Link[] {
  return namespaces.connection("host").dump(dumpLinks(), ["list", "links"]).map(readLink);
}

/** At random, so that two processes at the same time do not take the same ones. */
function freeGroups(links: readonly Link[], count: number, { sys }: Namespaces): readonly number[] {
  const taken = new Set(links.map(({ group }) => group));
  const free = new Set<number>();
  while (free.size < count) {
    const [high = 0, low = 0] = sys.randomBytes(2);
    const group = firstGroup + ((high << 8) | low);
    if (!taken.has(group)) free.add(group);
  }
  return [...free];
}
