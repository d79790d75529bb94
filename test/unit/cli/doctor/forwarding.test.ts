import { expect, test } from "vitest";
import { noReachFacts, type ReachFacts, type ReachPod } from "../../../../src/cli/doctor/reach/facts.ts";
import { checkForwarding } from "../../../../src/cli/doctor/reach/forwarding.ts";

function podOf(family: 4 | 6): ReachPod {
  const address = family === 4 ? "10.65.0.5" : "fd65::5";
  return { ...({} as ReachPod), name: "default/web eth0", family, address, hostInterface: "cali1" };
}

function factsOf(family: 4 | 6, sysctls: Readonly<Record<string, string>>, more: Partial<ReachFacts> = {}): ReachFacts {
  const pod = podOf(family);
  const out = { kind: "route", dev: "eth0.100", gateway: undefined, table: undefined, source: undefined } as const;
  const way = { out, back: out, toPod: out, conflictingRoute: undefined };
  return { ...noReachFacts, pods: [pod], ways: [way], sysctls: new Map(Object.entries(sysctls)), ...more };
}

test("checkForwarding() has links go on listening to router advertisements before IPv6's forwarding is written", () => {
  const facts = factsOf(6, { "net/ipv6/conf/all/forwarding": "0" }, { listeners: ["eth0", "eth0.100"] });
  expect(checkForwarding(facts).map(({ fix }) => fix)).toEqual([
    {
      kind: "programs",
      argvs: [
        ["sysctl", "-w", "net.ipv6.conf.eth0.accept_ra=2"],
        ["sysctl", "-w", "net/ipv6/conf/eth0.100/accept_ra=2"],
        ["sysctl", "-w", "net.ipv6.conf.all.forwarding=1"],
      ],
    },
  ]);
});

test("checkForwarding() writes an interface with dots in its name so that sysctl(8) finds it", () => {
  const facts = factsOf(4, { "net/ipv4/ip_forward": "1", "net/ipv4/conf/eth0.100/forwarding": "0" });
  expect(checkForwarding(facts).map(({ remedy }) => remedy)).toEqual(["sysctl -w net/ipv4/conf/eth0.100/forwarding=1"]);
});
