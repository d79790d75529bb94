/** Routes that end here: what has no narrower one goes nowhere. They belong to a range of addresses, not to an attachment. */
import type { Sys } from "../../host/sys.ts";
import { familyOf } from "../../net/address.ts";
import { addBlackhole, deleteBlackhole } from "../../netlink/route.ts";
import { describeBlackhole } from "../../plan/describe.ts";
import type { Blackhole } from "../../plan/resource.ts";
import { NetlinkConnection } from "../connection.ts";
import type { MessageDriver } from "../driver.ts";
import { KernelError, refusedWith } from "../errors.ts";
import { differenceSuffix } from "../places.ts";

/** Not taken back: another attachment may count on it by now. Whoever knows that none does removes it. */
export const blackholeDriver: MessageDriver<Blackhole> = {
  how: "message",
  // Another's route to the same range does as well, and is not ours to replace.
  isShared: true,
  describe: (blackhole) => `route ${describeBlackhole(blackhole)}`,
  links: () => [],
  create: ({ destination, protocol }) => addBlackhole(destination, protocol),
  judge({ at, destination, protocol }, world) {
    const family = familyOf(destination);
    const view = world.view(at);
    // The usual one is asked for alone: a node has a route per pod, and a router those of the whole internet.
    if (view.blackholes(family, protocol).includes(destination) || view.ranges(family).includes(destination)) return [];
    return [`route ${describeBlackhole({ destination, protocol })} is missing${differenceSuffix(at)}`];
  },
  mayReplace: () => false,
};

/** Adds and removes them on the host, over one connection. */
export function withBlackholes(sys: Sys, protocol: number, body: (blackholes: Blackholes) => void): void {
  const blackholes = new Blackholes(sys, protocol);
  try {
    body(blackholes);
  } finally {
    blackholes.close();
  }
}

class Blackholes {
  readonly #connection: NetlinkConnection;
  readonly #protocol: number;

  constructor(sys: Sys, protocol: number) {
    this.#connection = new NetlinkConnection(sys.openNetlink("route"));
    this.#protocol = protocol;
  }

  /** One that is there already is success. Throws `KernelError` when the kernel refuses. */
  add(destination: string): void {
    const outcome = this.#connection.request(addBlackhole(destination, this.#protocol));
    if (outcome.errno !== 0 && !refusedWith(outcome, "EEXIST"))
      throw new KernelError(["add", `${this.#text(destination)}`], outcome);
  }

  /** That there is none is success; another's route to the same range stays. Throws `KernelError` when the kernel refuses. */
  remove(destination: string): void {
    const outcome = this.#connection.request(deleteBlackhole(destination, this.#protocol));
    // ESRCH: not there; the others: a kernel without IPv6.
    if (outcome.errno === 0 || refusedWith(outcome, "ESRCH", "EAFNOSUPPORT", "EOPNOTSUPP")) return;
    throw new KernelError(["delete", `${this.#text(destination)}`], outcome);
  }

  close(): void {
    this.#connection.close();
  }

  #text(destination: string): string {
    return `route ${describeBlackhole({ destination, protocol: this.#protocol })} on the host`;
  }
}
