/**
 * Whether the node forwards packets. For IPv4, the incoming interface decides; writing `ip_forward` sets all of them. For IPv6, only `all` counts.
 *
 * An ADD sets or requires all of these: `--fix` sets them again. As in an ADD, links that listen to router advertisements are first configured to
 * keep listening: writing IPv6's forwarding removes the default routes of all others.
 */
import type { Family } from "../../../net/address.ts";
import type { Finding } from "../finding.ts";
import { byPrograms } from "../plugin-call.ts";
import type { ReachFacts } from "./facts.ts";
import { sysctlName } from "./sysctl.ts";

const switches = { 4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding" } as const;

/** Whether packets that arrive at an interface are not forwarded; without an interface, they are the node's own, which are not forwarded. */
export function isForwardingOff({ sysctls }: ReachFacts, family: Family, iif: string | undefined): boolean {
  if (iif === undefined) return false;
  if (sysctls.get(switches[family]) === "0") return true;
  return family === 4 && sysctls.get(`net/ipv4/conf/${iif}/forwarding`) === "0";
}

/** Only existing pods need it: the first ADD turns it on. */
export function checkForwarding(facts: ReachFacts): readonly Finding[] {
  const families = ([4, 6] as const).filter((family) => facts.pods.some((pod) => pod.family === family));
  return families.flatMap((family): readonly Finding[] => {
    if (facts.sysctls.get(switches[family]) === "0") {
      const text = `is 0: IPv${family} packets of pods do not leave the node, nor reach other pods`;
      const listeners = family === 6 ? facts.listeners.map((link) => `net/ipv6/conf/${link}/accept_ra=2`) : [];
      return [forwardingOff(switches[family], text, listeners)];
    }
    return family === 4 ? checkLinks(facts) : [];
  });
}

function checkLinks(facts: ReachFacts): readonly Finding[] {
  const { pods, ways, sysctls } = facts;
  const own = new Set(pods.filter(({ family }) => family === 4).map(({ hostInterface }) => hostInterface));
  const uplinks = new Set(
    ways.flatMap(({ out }, index) => (out.kind === "route" && pods[index]?.family === 4 ? [out.dev] : [])),
  );
  const uplink = facts.uplinks[4];
  if (uplink.kind === "route") uplinks.add(uplink.dev);
  return [...own, ...uplinks].flatMap((name): readonly Finding[] => {
    const path = `net/ipv4/conf/${name}/forwarding`;
    if (sysctls.get(path) !== "0") return [];
    const what = own.has(name)
      ? "packets from its pod are not forwarded"
      : `pods get no replies that arrive on ${name}`;
    return [forwardingOff(path, `is 0: ${what}; it was turned off for this interface only`)];
  });
}

function forwardingOff(path: string, text: string, before: readonly string[] = []): Finding {
  return {
    id: "forwarding-off",
    section: "reach",
    severity: "error",
    subject: path,
    text,
    ...byPrograms([...before, `${path}=1`].map((setting) => ["sysctl", "-w", sysctlName(setting)])),
  };
}
