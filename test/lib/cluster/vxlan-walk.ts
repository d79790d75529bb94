/**
 * The walk of a ping from a pod to one of a node in another subnet, as tcpdump shows it:
 *
 *     pod eth0 ─ cali… ─ vxlan.calico ─ eth0 ══ UDP 4789 ══ eth0 ─ vxlan.calico ─ cali… ─ pod eth0
 *     ttl 64     64      63             64                  63     63             62      62
 */
import { expect } from "vitest";
import { capture } from "./capture.ts";
import type { FabricNode } from "./fabric.ts";
import type { FabricPod } from "./fabric-pods.ts";

interface Family {
  readonly device: string;
  readonly icmp: string;
  /** What tcpdump writes of a ping. */
  readonly protocol: string;
  readonly ttl: string;
  readonly gateway: string;
  /** What a pod is told that asks for its gateway. */
  readonly answer: RegExp;
  readonly addressOf: (one: { readonly address4: string; readonly address6: string }) => string;
}

const families: Readonly<Record<4 | 6, Family>> = {
  4: {
    ...{ device: "vxlan.calico", icmp: "icmp", protocol: "ICMP", ttl: "ttl", gateway: "169.254.1.1" },
    answer: /169\.254\.1\.1 is-at ee:ee:ee:ee:ee:ee/,
    addressOf: ({ address4 }) => address4,
  },
  6: {
    ...{ device: "vxlan-v6.calico", icmp: "icmp6", protocol: "ICMP6,", ttl: "hlim" },
    gateway: "fe80::ecee:eeff:feee:eeee",
    answer: /neighbor advertisement.*tgt is fe80::ecee:eeff:feee:eeee.*ee:ee:ee:ee:ee:ee/,
    addressOf: ({ address6 }) => address6,
  },
};

export async function walkThroughVxlan(of: 4 | 6, from: FabricPod, to: FabricPod): Promise<void> {
  const { device, icmp, protocol, ttl, gateway, answer, addressOf } = families[of];
  const captures = await Promise.all([
    capture(from.on.node, from.name, "eth0", `arp or ${icmp}`),
    capture(from.on.node, undefined, from.hostInterface, icmp),
    capture(from.on.node, undefined, device, icmp),
    capture(from.on.node, undefined, "eth0", "udp port 4789"),
    capture(to.on.node, undefined, "eth0", "udp port 4789"),
    capture(to.on.node, undefined, device, icmp),
    capture(to.on.node, undefined, to.hostInterface, icmp),
    capture(to.on.node, to.name, "eth0", icmp),
  ]);
  const macOf = ({ node }: FabricNode, link: string) => node.sh(`cat /sys/class/net/${link}/address`).trim();
  // The pod knows its gateway by a permanent entry. Without it, it asks, and the node answers: for IPv4 by proxy.
  const entry = `${gateway} lladdr ee:ee:ee:ee:ee:ee dev eth0`;
  from.on.node.sh(`ip neigh del ${entry} 2>/dev/null || ip neigh flush dev eth0`, { in: from.name });
  from.on.node.sh(`ping -n -c 1 -W 2 -t 64 ${addressOf(to)}`, { in: from.name });
  from.on.node.sh(`ip neigh replace ${entry} nud permanent`, { in: from.name });
  const areComplete = () => captures.every((one) => one.lines().some((line) => line.includes("echo reply")));
  await expect.poll(areComplete).toBe(true);
  await Promise.all(captures.map((one) => one.stop()));
  const seen = captures.map((one) => one.lines());
  const [pod, cali, vxlan, uplink, farUplink, farVxlan, farCali, farPod] = seen.map(
    (lines) => lines.find((line) => line.includes("echo request")) ?? "",
  );
  expect(seen[0]?.join("\n")).toMatch(answer);
  for (const [line, left] of [
    [pod, 64],
    [cali, 64],
    [vxlan, 63],
    [farVxlan, 63],
    [farCali, 62],
    [farPod, 62],
  ] as const) {
    expect(line).toContain(`${ttl} ${left},`);
    expect(line).toMatch(new RegExp(`${addressOf(from)} > ${addressOf(to)}: .*${protocol} echo request`));
  }
  const macs = `${macOf(from.on, device)} > ${macOf(to.on, device)}`;
  expect(vxlan).toContain(macs);
  expect(cali).toContain("> ee:ee:ee:ee:ee:ee");
  const outer = new RegExp(`${addressOf(from.on)}\\.\\d+ > ${addressOf(to.on)}\\.4789: .*VXLAN, .*vni 4096`);
  for (const line of [uplink, farUplink]) {
    expect(line).toMatch(outer);
    expect(line).toContain(macs);
  }
  expect(uplink).toMatch(new RegExp(`^${macOf(from.on, "eth0")} > `));
  expect(farUplink).toMatch(new RegExp(`> ${macOf(to.on, "eth0")}`));
  expect(uplink).toContain(`${ttl} 64,`);
  expect(farUplink).toContain(`${ttl} 63,`);
}
