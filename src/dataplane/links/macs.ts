/**
 * Makes sure that MAC addresses persist. udev's MACAddressPolicy=persistent may replace an address after the link was created (systemd issue
 * 21185); an address that is set at creation is safe from it on most versions, and is read back nevertheless.
 */
import { setLink } from "../../netlink/link.ts";
import type { ApplyRun } from "../apply-run.ts";
import { linkDriver } from "../drivers.ts";
import { KernelError, MissingError, UnstableError } from "../errors.ts";
import { findLink } from "../kernel-state.ts";
import { placeText } from "../namespaces.ts";
import type { LinkEndAt } from "./driver.ts";

const patienceMs = 5_000;
const firstPauseMs = 20;
const maxPauseMs = 100;

/** Throws if an address keeps changing for five seconds. */
export function holdMacs(run: ApplyRun): void {
  for (const link of run.links) for (const end of linkDriver(link).ends(link)) holdMac(run, end);
}

function holdMac(run: ApplyRun, { place, name, mac }: LinkEndAt): void {
  if (mac === undefined || run.link(place, name)?.mac === mac) return;
  const { sys } = run.namespaces;
  const deadline = sys.monotonicMs() + patienceMs;
  const connection = run.namespaces.connection(place);
  for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, maxPauseMs)) {
    const found = run.link(place, name);
    if (found?.mac === mac) return;
    const what = ["set", `mac ${mac} on link "${name}"${placeText(place)}`] as const;
    if (sys.monotonicMs() > deadline) {
      throw new UnstableError(what, `another program resets it to ${found?.mac} (udev's MACAddressPolicy?)`);
    }
    const outcome = connection.request(setLink(run.indexOf(place, name), { mac }));
    if (outcome.errno !== 0) throw new KernelError(what, outcome);
    sys.sleepMs(pause);
    const again = findLink(connection, run.indexOf(place, name));
    if (again === undefined) throw new MissingError(what, "the link is gone");
    run.learn(place, again);
  }
}
