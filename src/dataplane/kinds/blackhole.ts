/** Blackhole routes of ranges of addresses, shared by attachments. */
import { familyOf } from "../../net/address.ts";
import { addBlackhole, deleteBlackhole } from "../../netlink/route.ts";
import { describeBlackhole } from "../../plan/describe.ts";
import type { Blackhole } from "../../plan/resource.ts";
import type { NetlinkConnection } from "../connection.ts";
import type { MessageDriver } from "../driver.ts";
import { hasErrno, KernelError } from "../errors.ts";
import { differenceSuffix, type Namespaces } from "../namespaces.ts";

/** Has no roll-back: another attachment may rely on it by now. `removeBlackholes` removes it when it is unused. */
export const blackholeDriver: MessageDriver<Blackhole> = {
  how: "message",
  // A foreign route to the same range serves as well, and is not ours to replace.
  isShared: true,
  describe: (blackhole) => `route ${describeBlackhole(blackhole)}`,
  links: () => [],
  create: ({ destination, protocol }) => addBlackhole(destination, protocol),
  diff({ at, destination, protocol }, namespaces) {
    const family = familyOf(destination);
    const state = namespaces.state(at);
    // Reads blackhole routes first: a full dump is long on a node with many pods or on an internet router.
    if (state.blackholes(family, protocol).includes(destination) || state.ranges(family).includes(destination))
      return [];
    return [`route ${describeBlackhole({ destination, protocol })} is missing${differenceSuffix(at)}`];
  },
  mayReplace: () => false,
};

/** The blackhole routes of ranges, where `isWanted` is false; `undefined` leaves the route. */
export interface UnusedBlackholes {
  readonly kind: "blackhole";
  readonly protocol: number;
  readonly ranges: readonly string[];
  readonly isWanted: (range: string) => boolean | undefined;
}

/** A route that changes during this many attempts is left as it is. */
const maxTries = 100;

/** Removes them on the host, and puts back those that are wanted by then. Throws `KernelError` if the kernel refuses. */
export function removeBlackholes({ protocol, ranges, isWanted }: UnusedBlackholes, namespaces: Namespaces): void {
  for (const destination of ranges) {
    let isThere = true;
    for (let tries = 0; tries < maxTries; tries++) {
      const wanted = isWanted(destination);
      if (wanted === undefined || wanted === isThere) break;
      change(namespaces.connection("host"), { destination, protocol }, wanted);
      isThere = wanted;
    }
  }
}

/** An existing route (or, for a removal, a missing one) is success. Foreign routes to the same range stay. */
function change(
  connection: NetlinkConnection,
  blackhole: Pick<Blackhole, "destination" | "protocol">,
  wanted: boolean,
): void {
  const { destination, protocol } = blackhole;
  const request = wanted ? addBlackhole(destination, protocol) : deleteBlackhole(destination, protocol);
  const outcome = connection.request(request);
  // ESRCH: the route does not exist; the others: a kernel without IPv6.
  const expected = wanted ? ["EEXIST"] : ["ESRCH", "EAFNOSUPPORT", "EOPNOTSUPP"];
  if (outcome.errno === 0 || hasErrno(outcome, ...expected)) return;
  throw new KernelError([wanted ? "add" : "delete", `route ${describeBlackhole(blackhole)} on the host`], outcome);
}
