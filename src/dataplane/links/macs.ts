/**
 * Makes sure that MAC addresses hold. udev's MACAddressPolicy=persistent may replace an address after the link was made (systemd issue
 * 21185); an address given at creation is safe from it on most versions, and is read back nevertheless.
 */
import { setLink } from "../../netlink/link.ts";
import type { Place, VethPair } from "../../plan/resource.ts";
import { KernelError, MissingError, UnstableError } from "../errors.ts";
import { placeText } from "../places.ts";
import type { Stage } from "../stage.ts";
import { findLink } from "../view.ts";

const patienceMs = 5_000;
const firstPauseMs = 20;
const maxPauseMs = 100;

/** Throws `KernelError` when an address does not hold within five seconds. */
export function holdMacs(stage: Stage): void {
  for (const pair of stage.plan.resources) {
    if (pair.kind !== "veth") continue;
    for (const place of ["host", "sandbox"] satisfies Place[]) holdMac(stage, place, pair[place]);
  }
}

function holdMac(stage: Stage, place: Place, { name, mac }: VethPair["host"]): void {
  if (mac === undefined || stage.link(place, name)?.mac === mac) return;
  const { sys } = stage.places.scene;
  const deadline = sys.monotonicMs() + patienceMs;
  const connection = stage.places.connection(place);
  for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, maxPauseMs)) {
    const found = stage.link(place, name);
    if (found?.mac === mac) return;
    const what = ["set", `mac ${mac} on link "${name}"${placeText(place)}`] as const;
    if (sys.monotonicMs() > deadline) {
      throw new UnstableError(what, `something sets it back to ${found?.mac} (udev's MACAddressPolicy?)`);
    }
    const outcome = connection.request(setLink(stage.indexOf(place, name), { mac }));
    if (outcome.errno !== 0) throw new KernelError(what, outcome);
    sys.sleepMs(pause);
    const again = findLink(connection, stage.indexOf(place, name));
    if (again === undefined) throw new MissingError(what, "the link is gone");
    stage.learn(place, again);
  }
}
