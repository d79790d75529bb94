/**
 * The walk of a ping from a pod to one of a node in another subnet, as tcpdump shows it:
 *
 *     pod eth0 ─ cali… ─ vxlan.calico ─ eth0 ══ UDP 4789 ══ eth0 ─ vxlan.calico ─ cali… ─ pod eth0
 *     ttl 64     64      63             64                  63     63             62      62
 */
import { expect } from "vitest";
import { capturePing, requestIn } from "./capture.ts";
import type { FabricNode } from "./fabric.ts";
import type { FabricPod } from "./fabric-pods.ts";

interface Family {
  readonly device: string;
  readonly icmp: string;
  /** How tcpdump begins a ping, and calls its ttl. */
  readonly protocol: string;
  readonly ttl: string;
  /** Matches what tcpdump says of the outer packet's checksum, which only IPv6 demands. veth leaves it to the network card. */
  readonly checksum: string;
  readonly gateway: string;
  /** What a pod is told that asks for it. */
  readonly answer: RegExp;
  readonly addressOf: (one: { readonly address4: string; readonly address6: string }) => string;
}

const families: Readonly<Record<4 | 6, Family>> = {
  4: {
    ...{ device: "vxlan.calico", icmp: "icmp", protocol: "ICMP", ttl: "ttl", checksum: "" },
    gateway: "169.254.1.1",
    answer: /169\.254\.1\.1 is-at ee:ee:ee:ee:ee:ee/,
    addressOf: ({ address4 }) => address4,
  },
  6: {
    ...{
      device: "vxlan-v6.calico",
      icmp: "icmp6",
      protocol: "[icmp6 sum ok] ICMP6,",
      ttl: "hlim",
      checksum: "\\[[^\\]]*udp[^\\]]*\\] ",
    },
    gateway: "fe80::ecee:eeff:feee:eeee",
    answer: /neighbor advertisement.*tgt is fe80::ecee:eeff:feee:eeee.*ee:ee:ee:ee:ee:ee/,
    addressOf: ({ address6 }) => address6,
  },
};

export async function walkThroughVxlan(of: 4 | 6, from: FabricPod, to: FabricPod): Promise<void> {
  const { device, icmp, protocol, ttl, checksum, gateway, answer, addressOf } = families[of];
  const [near, far] = [from.on, to.on];
  // The pod knows its gateway by a permanent entry. Without it, it asks, and the node answers, for IPv4 by proxy.
  const entry = `${gateway} lladdr ee:ee:ee:ee:ee:ee dev eth0`;
  const send = `ip neigh del ${entry}; ping -n -c 1 -W 2 -t 64 ${addressOf(to)}; ip neigh replace ${entry} nud permanent`;
  const seen = await capturePing(
    [
      { node: near.node, pod: from.name, link: "eth0", filter: `arp or ${icmp}` },
      { node: near.node, link: from.hostInterface, filter: icmp },
      { node: near.node, link: device, filter: icmp },
      { node: near.node, link: "eth0", filter: "udp port 4789" },
      { node: far.node, link: "eth0", filter: "udp port 4789" },
      { node: far.node, link: device, filter: icmp },
      { node: far.node, link: to.hostInterface, filter: icmp },
      { node: far.node, pod: to.name, link: "eth0", filter: icmp },
    ],
    () => near.node.sh(send, { in: from.name }),
  );
  expect(seen[0]?.join("\n")).toMatch(answer);
  const [pod, cali, vxlan, uplink, farUplink, farVxlan, farCali, farPod] = seen.map(requestIn);
  for (const [line, left] of [
    [pod, 64],
    [cali, 64],
    [vxlan, 63],
    [farVxlan, 63],
    [farCali, 62],
    [farPod, 62],
  ] as const) {
    expect(line).toContain(`${ttl} ${left},`);
    expect(line).toContain(`${addressOf(from)} > ${addressOf(to)}: ${protocol} echo request`);
  }
  const macOf = ({ node }: FabricNode, link: string) => node.sh(`cat /sys/class/net/${link}/address`).trim();
  const macs = `${macOf(near, device)} > ${macOf(far, device)}`;
  expect(vxlan).toContain(macs);
  expect(cali).toContain("> ee:ee:ee:ee:ee:ee");
  const header = "VXLAN, flags \\[I\\] \\(0x08\\), vni 4096";
  for (const line of [uplink, farUplink]) {
    expect(line).toMatch(new RegExp(`${addressOf(near)}\\.\\d+ > ${addressOf(far)}\\.4789: ${checksum}${header}`));
    expect(line).toContain(macs);
  }
  expect(uplink).toMatch(new RegExp(`^${macOf(near, "eth0")} > `));
  expect(farUplink).toMatch(new RegExp(`> ${macOf(far, "eth0")}`));
  expect(uplink).toContain(`${ttl} 64,`);
  expect(farUplink).toContain(`${ttl} 63,`);
}
