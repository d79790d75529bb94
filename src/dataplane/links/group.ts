/**
 * Deletes many links with one wait of the kernel's.
 *
 * Deleting a link takes 20 ms, nearly all of it waiting, alone or with others: 1,000 one by one take 20 s, as one group less than half a second.
 *
 *     dump ─▶ a group that no link has ─▶ SETLINK: each of ours ─▶ dump ─▶ ours alone are in it ─▶ DELLINK of the group
 *
 * Killed before the last step, it leaves links in a group, which changes nothing for them: they are found by alias or name again.
 */
import { deleteLinkGroup, dumpLinks, type Link, readLink, setLink } from "../../netlink/link.ts";
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
  const taken = new Set(links.map(({ group }) => group));
  for (let start = 0; start < ours.length; start += groupSize) {
    const part = ours.slice(start, start + groupSize);
    const group = freeGroup(taken, namespaces);
    if (part.length > 1 && group !== undefined) deleteAsGroup(part, group, isOurs, namespaces);
  }
}

/** All links of the host's namespace. */
export function hostLinks(namespaces: Namespaces): readonly Link[] {
  return namespaces.connection("host").dump(dumpLinks(), ["list", "links"]).map(readLink);
}

function deleteAsGroup(
  links: readonly Link[],
  group: number,
  isOurs: (link: Link) => boolean,
  namespaces: Namespaces,
): void {
  const connection = namespaces.connection("host");
  // By index, because a name may be reused. What has vanished meanwhile is refused, and is not missed.
  connection.exchange(links.map(({ index }) => setLink(index, { group })));
  const members = hostLinks(namespaces).filter((link) => link.group === group);
  const indexes = new Set(links.map(({ index }) => index));
  if (members.every((link) => indexes.has(link.index) && isOurs(link))) connection.request(deleteLinkGroup(group));
}

/** At random, so that two processes at the same time do not take the same one. */
function freeGroup(taken: ReadonlySet<number>, { sys }: Namespaces): number | undefined {
  const [high = 0, low = 0] = sys.randomBytes(2);
  const group = firstGroup + ((high << 8) | low);
  return taken.has(group) ? undefined : group;
}
