/** Routes that end here: what has no narrower one goes nowhere. They belong to a range of addresses, not to an attachment. */
import type { Sys } from "../../host/sys.ts";
import { familyOf } from "../../net/address.ts";
import { addBlackhole, deleteBlackhole } from "../../netlink/route.ts";
import { describeBlackhole } from "../../plan/describe.ts";
import type { Blackhole } from "../../plan/resource.ts";
import { NetlinkConnection } from "../connection.ts";
import type { MessageDriver } from "../driver.ts";
import { hasErrno, KernelError } from "../errors.ts";
import { differenceSuffix } from "../namespaces.ts";

/** Not taken back: another attachment may count on it by now. Whoever knows that none does removes it. */
export const blackholeDriver: MessageDriver<Blackhole> = {
  how: "message",
  // Another's route to the same range does as well, and is not ours to replace.
  isShared: true,
  describe: (blackhole) => `route ${describeBlackhole(blackhole)}`,
  links: () => [],
  create: ({ destination, protocol }) => addBlackhole(destination, protocol),
  diff({ at, destination, protocol }, namespaces) {
    const family = familyOf(destination);
    const state = namespaces.state(at);
    // The usual one is asked for alone: a node has a route per pod, and a router those of the whole internet.
    if (state.blackholes(family, protocol).includes(destination) || state.ranges(family).includes(destination))
      return [];
    return [`route ${describeBlackhole({ destination, protocol })} is missing${differenceSuffix(at)}`];
  },
  mayReplace: () => false,
};

/** What changes during each of so many looks is left as it is. */
const maxTries = 100;

/**
 * Adds or removes the route of each range on the host, until `isWanted` says the same before and after: nobody holds a lock for it; `undefined`:
 * it is left as it is. Throws `KernelError` when the kernel refuses.
 */
export function followBlackholes(
  sys: Sys,
  protocol: number,
  ranges: readonly string[],
  isWanted: (range: string) => boolean | undefined,
): void {
  if (ranges.length === 0) return;
  const connection = new NetlinkConnection(sys.openNetlink("route"));
  try {
    for (const destination of ranges) {
      let wanted = isWanted(destination);
      for (let tries = 0; tries < maxTries; tries++) {
        if (wanted !== undefined) change(connection, { destination, protocol }, wanted);
        const now = isWanted(destination);
        if (now === wanted) break;
        wanted = now;
      }
    }
  } finally {
    connection.close();
  }
}

/** One that is there already is success, and that there is none; another's route to the same range stays. */
function change(
  connection: NetlinkConnection,
  blackhole: Pick<Blackhole, "destination" | "protocol">,
  wanted: boolean,
): void {
  const { destination, protocol } = blackhole;
  const request = wanted ? addBlackhole(destination, protocol) : deleteBlackhole(destination, protocol);
  const outcome = connection.request(request);
  // ESRCH: not there; the others: a kernel without IPv6.
  const expected = wanted ? ["EEXIST"] : ["ESRCH", "EAFNOSUPPORT", "EOPNOTSUPP"];
  if (outcome.errno === 0 || hasErrno(outcome, ...expected)) return;
  throw new KernelError([wanted ? "add" : "delete", `route ${describeBlackhole(blackhole)} on the host`], outcome);
}
