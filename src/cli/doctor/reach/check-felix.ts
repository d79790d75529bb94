/**
 * What Calico's agent leaves on a node that changed to ours: rules that let through the pods of then, and drop the packets of any other. Nothing is lost before the
 * next pod is made, so that no probe shows it.
 */
import { hostInterfacePrefix } from "../../../identity/names.ts";
import { addressBytes } from "../../../net/address.ts";
import { type Finding, findingsIn } from "../finding.ts";
import { describePlace } from "./check-firewall.ts";
import { commandsToAllow, culpritsOf, describeBase, felix } from "./culprits.ts";
import type { ReachFacts } from "./facts.ts";
import { matchesFamily, type Packet, walk } from "./filter.ts";

const finding = findingsIn("reach");
/** Of no pod: Calico's names end in hexadecimal digits. */
const newInterface = `${hostInterfacePrefix}-new`;
const addresses = { 4: "192.0.2.1", 6: "2001:db8::1" } as const;

/** One for each chain of a hook. `known`: findings that name the same chains with the pods that they cut off already. */
export function checkFelix({ chains, services }: ReachFacts, known: readonly Finding[]): readonly Finding[] {
  // While it runs, it makes rules for new pods.
  if (services.includes("Calico")) return [];
  return ([4, 6] as const).flatMap((family) => {
    const [saddr, daddr] = [addressBytes(addresses[family]), addressBytes(addresses[family])];
    const packet: Packet = {
      ...{ family, protocol: "tcp", state: "new", iif: newInterface, oif: undefined, saddr, daddr },
    };
    return chains.flatMap((base) => {
      if (base.hook !== "forward" || !matchesFamily(base, packet)) return [];
      const { accept, places } = walk(base, packet);
      const [place] = places;
      if (accept || place === undefined || !culpritsOf(place, services).includes(felix)) return [];
      const subject = describeBase(base);
      if (known.some((one) => one.subject === subject)) return [];
      const text = `drops the packets of pods that are made from now on, by ${describePlace(place)}; ${felix} left it, and --fix does not change foreign rules`;
      return [finding("felix-left", subject, text, commandsToAllow(place, [felix], family, []), "warning")];
    });
  });
}
