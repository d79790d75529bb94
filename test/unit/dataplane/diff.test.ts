import { describe, expect, test } from "vitest";
import type { Plan } from "../../../src/plan/resource.ts";
import type { FakeLink, FakeNetns } from "../../lib/fake/netns.ts";
import type { FakeMachine } from "../../lib/fake/sys.ts";
import { applied, differences, endpointPlan, newSetup } from "./scene.ts";

interface Inside {
  readonly host: FakeNetns;
  readonly pod: FakeNetns;
  readonly cali: FakeLink;
  readonly bwp: FakeLink;
  readonly eth0: FakeLink;
}

describe("diff()", () => {
  test("finds nothing after apply(), and changes nothing", () => {
    const setup = newSetup();
    applied(setup, endpointPlan());
    const before = setup.machine.kernel.print();
    expect(differences(setup, endpointPlan())).toEqual([]);
    expect(setup.machine.kernel.print()).toBe(before);
  });

  test.each<[string, (inside: Inside) => void, readonly string[]]>([
    [
      "a route that was removed",
      ({ host }) => drop(host, "10.0.0.5/32"),
      ["route 10.0.0.5/32 dev cali5 scope link is missing"],
    ],
    [
      "a route that leads elsewhere",
      ({ host, bwp }) =>
        host.routes.forEach((route, at) => {
          if (route.destination === "10.0.0.5/32") host.routes[at] = { ...route, index: bwp.index };
        }),
      ["route 10.0.0.5/32 dev cali5 scope link is missing (found 10.0.0.5/32 dev bwp5 scope link)"],
    ],
    [
      "another MTU of a route",
      ({ pod }) =>
        pod.routes.forEach((route, at) => {
          if (route.gateway) pod.routes[at] = { ...route, mtu: 1300 };
        }),
      [
        "route 0.0.0.0/0 via 169.254.1.1 dev eth0 mtu 1400 is missing in the sandbox (found 0.0.0.0/0 via 169.254.1.1 dev eth0 mtu 1300)",
        "route ::/0 via fe80::ecee:eeff:feee:eeee dev eth0 is missing in the sandbox (found ::/0 via fe80::ecee:eeff:feee:eeee dev eth0 mtu 1300)",
      ],
    ],
    [
      "an address that was removed",
      ({ pod, eth0 }) => pod.deleteAddress(eth0, "10.0.0.5/32"),
      ["address 10.0.0.5/32 dev eth0 is missing in the sandbox"],
    ],
    ["a link that is down", ({ cali }) => Object.assign(cali, { up: false }), ["link cali5 is down"]],
    [
      "another MAC address",
      ({ eth0 }) => Object.assign(eth0, { mac: "02:00:00:00:00:99" }),
      ["link eth0 has mac 02:00:00:00:00:99, wanted 02:00:00:00:00:05 in the sandbox"],
    ],
    ["another MTU", ({ cali }) => Object.assign(cali, { mtu: 1500 }), ["link cali5 has mtu 1500, wanted 1440"]],
    [
      "another owner",
      ({ cali }) => Object.assign(cali, { alias: "tortie:net/c6/eth0" }),
      ['link cali5 has alias "tortie:net/c6/eth0", wanted "tortie:net/c5/eth0"'],
    ],
    [
      "another sysctl",
      ({ pod }) => pod.sysctl.write("ipv6/conf/eth0/accept_dad", "1"),
      ['sysctl net/ipv6/conf/eth0/accept_dad is "1", wanted "0" in the sandbox'],
    ],
    ["not a sysctl that is set once", ({ pod }) => pod.sysctl.write("ipv4/ip_forward", "1"), []],
    [
      "another neighbour",
      ({ pod }) => Object.assign(pod.neighbours[0] ?? {}, { mac: "02:00:00:00:00:99" }),
      ["neighbour 169.254.1.1 dev eth0 has lladdr 02:00:00:00:00:99, wanted ee:ee:ee:ee:ee:ee in the sandbox"],
    ],
    [
      "a neighbour that was removed",
      ({ pod }) => pod.neighbours.splice(0),
      ["neighbour 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev eth0 is missing in the sandbox"],
    ],
    [
      "another rate, limit",
      ({ cali }) => Object.assign(cali.tokenBucket ?? {}, { rateBytes: 1000, limitBytes: 35 }),
      ["qdisc tbf on cali5 has rate 1000 B/s, wanted 125000 B/s", "qdisc tbf on cali5 has limit 35 B, wanted 128125 B"],
    ],
    [
      "another burst",
      ({ cali }) => Object.assign(cali.tokenBucket ?? {}, { bufferTicks: 7_812_500 }),
      ["qdisc tbf on cali5 has burst 62500 B, wanted 125000 B"],
    ],
    [
      "not a burst that the kernel rounded",
      ({ cali }) => Object.assign(cali.tokenBucket ?? {}, { bufferTicks: 15_624_999 }),
      [],
    ],
    [
      "a qdisc that was removed",
      ({ cali }) => Object.assign(cali, { tokenBucket: undefined }),
      ["qdisc tbf on cali5 is missing (found noqueue)"],
    ],
    [
      "an ingress hook that was removed",
      ({ cali }) => Object.assign(cali, { ingress: false, redirect: undefined }),
      ["qdisc ingress on cali5 is missing", "redirect of packets from cali5 to bwp5 is missing"],
    ],
    [
      "a redirect elsewhere",
      ({ cali }) => Object.assign(cali, { redirect: 1 }),
      ["redirect of packets from cali5 to bwp5 is missing (found one to lo)"],
    ],
    [
      "a link that was removed, once for all that was on it",
      ({ host, cali }) => host.deleteLink(cali),
      ["link cali5 is missing", "link eth0 is missing in the sandbox"],
    ],
    [
      "an ifb's length of queue",
      ({ bwp }) => Object.assign(bwp, { txQueueLength: 32 }),
      ["link bwp5 has qlen 32, wanted 0"],
    ],
  ])("names %s", (_, damage, texts) => {
    const setup = newSetup();
    applied(setup, endpointPlan());
    damage(inside(setup.machine));
    expect(differences(setup, endpointPlan())).toEqual(texts);
  });

  test("names a link that the plan did not make and that is missing", () => {
    const plan: Plan = { owner: "o", resources: [{ kind: "up", at: "host", link: "ens1" }] };
    expect(differences(newSetup(), plan)).toEqual(["link ens1 is missing"]);
  });
});

function inside(machine: FakeMachine): Inside {
  const pod = machine.netnsPaths.get("/var/run/netns/pod");
  const { host } = machine.kernel;
  const [cali, bwp, eth0] = [host.find("cali5"), host.find("bwp5"), pod?.find("eth0")];
  if (!pod || !cali || !bwp || !eth0) throw new Error("the endpoint is not there");
  return { host, pod, cali, bwp, eth0 };
}

function drop(netns: FakeNetns, destination: string): void {
  netns.routes = netns.routes.filter((route) => route.destination !== destination);
}
