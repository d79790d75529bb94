import { describe, expect, test } from "vitest";
import { noAgent } from "../../../../src/cli/doctor/node-agent.ts";
import { noReachFacts, type ReachFacts } from "../../../../src/cli/doctor/reach/facts.ts";
import { readIptablesChains } from "../../../../src/cli/doctor/reach/filter-iptables.ts";
import { checkTunnels } from "../../../../src/cli/doctor/tunnels/check.ts";
import {
  noTunnels,
  type PeerFact,
  type TunnelFact,
  type TunnelFacts,
} from "../../../../src/cli/doctor/tunnels/facts.ts";
import { clusterCidrsIn } from "../../../../src/cli/doctor/tunnels/gather.ts";
import type { OutgoingMessage } from "../../../../src/node-protocol/messages.ts";

const device: TunnelFact = {
  ...{ name: "vxlan.calico", kind: "vxlan", family: 4, mtu: 1450 },
  underlay: { address: "10.1.0.1", link: "eth0", mtu: 1500, port: 4789 },
};
const peer: PeerFact = {
  ...{ address: "10.1.0.2", device: device.name, link: "eth0", hasOwnRoute: true },
  answers: { small: true, full: true },
};
const healthy: TunnelFacts = {
  ...noTunnels,
  devices: [device],
  peers: [peer],
  mtus: new Map([["cali1", 1450]]),
  clusterCidrs: ["192.168.0.0/16"],
};

function agentWith(outgoing?: OutgoingMessage) {
  const pool = { name: "p", cidr: "192.168.0.0/16", natOutgoing: true, disabled: false, family: 4 } as const;
  return { ...noAgent, nat: { pools: [pool], outgoing } };
}

function reachWith(rules: string, services: readonly string[] = []): ReachFacts {
  const pod = { name: "default/web eth0", hostInterface: "cali1", ifname: "eth0", mac: undefined, netns: undefined };
  return {
    ...noReachFacts,
    pods: [{ ...pod, address: "192.168.0.5", family: 4, hasNat: true }],
    chains: readIptablesChains(rules, "iptables", "ip"),
    services,
  };
}

const found = (facts: Partial<TunnelFacts>, agent = agentWith(), reach = reachWith("")) =>
  checkTunnels({ ...healthy, ...facts }, agent, reach).map(({ id, severity, subject, text }) => ({
    title: `${severity} ${id}`,
    text: `${subject} ${text}`,
  }));

describe("a healthy node", () => {
  test("gives no finding, with firewalls that let tunnels through either", () => {
    const rules = [
      "*filter",
      ":INPUT DROP [0:0]",
      ":FORWARD DROP [0:0]",
      "-A INPUT -p udp -m udp --dport 4789 -j ACCEPT",
      "-A FORWARD -i cali+ -j ACCEPT",
      "-A FORWARD -o cali+ -j ACCEPT",
      "COMMIT",
      "",
    ].join("\n");
    expect(found({})).toEqual([]);
    expect(found({}, agentWith(), reachWith(rules))).toEqual([]);
    expect(found({}, agentWith({ exclusions: [] }))).toEqual([]);
    expect(found({ strict: ["eth0"] })).toEqual([]);
  });

  test("without tunnels nothing is checked", () => {
    expect(checkTunnels(noTunnels, agentWith(), reachWith("*filter\n:INPUT DROP [0:0]\nCOMMIT\n"))).toEqual([]);
  });

  test("a node that answers no ping is not accused, nor one that was not asked", () => {
    expect(found({ peers: [{ ...peer, answers: { small: false, full: false } }] })).toEqual([]);
    expect(found({ peers: [{ ...peer, answers: undefined }] })).toEqual([]);
  });
});

test.each<[string, Partial<TunnelFacts>, string, RegExp]>([
  [
    "a tunnel larger than its underlay",
    { devices: [{ ...device, mtu: 1500 }] },
    "error tunnel-mtu",
    /^vxlan\.calico has MTU 1500, but eth0 has 1500, which leaves 1450 for packets of pods/,
  ],
  [
    "pods larger than the tunnel",
    {
      mtus: new Map([
        ["cali1", 1500],
        ["cali2", 1500],
      ]),
    },
    "warning tunnel-mtu",
    /^vxlan\.calico has MTU 1450, and pods have more: cali1 \(1500\): large packets/,
  ],
  [
    "the wrong interface",
    { peers: [{ ...peer, link: "eth1", hasOwnRoute: false }] },
    "error tunnel-interface",
    /^vxlan\.calico sends by eth0, which has this node's address 10\.1\.0\.1, but the way to the node 10\.1\.0\.2 is by eth1/,
  ],
  [
    "no route to another node",
    { peers: [{ ...peer, link: undefined }] },
    "error tunnel-interface",
    /^vxlan\.calico leads to the node 10\.1\.0\.2, to which this node has no route/,
  ],
  [
    "a network with a smaller MTU",
    { peers: [{ ...peer, answers: { small: true, full: false } }] },
    "error path-mtu",
    /^10\.1\.0\.2 answers small packets, but none of 1500 bytes, the MTU of eth0/,
  ],
  [
    "NetworkManager",
    { managed: [{ name: "vxlan.calico", state: "connected" }] },
    "warning tunnel-managed",
    /^NetworkManager manages vxlan\.calico \(connected\): it removes their routes/,
  ],
  [
    "kube-proxy for another range",
    { clusterCidrs: ["10.244.0.0/16"] },
    "warning service-masquerade",
    /^kube-proxy has the cluster CIDR 10\.244\.0\.0\/16, outside of which 1 pool lies: 192\.168\.0\.0\/16/,
  ],
])("reports %s", (_, facts, title, text) => {
  expect(found(facts)).toEqual([{ title, text: expect.stringMatching(text) }]);
});

test("reports a strict reverse path filter where pods keep their addresses at nodes", () => {
  expect(found({ strict: ["eth0"] }, agentWith({ exclusions: ["10.1.0.2"] }))).toEqual([
    {
      title: "error tunnel-reverse-path",
      text: expect.stringMatching(/^rp_filter of eth0 is strict, .* the way back is vxlan\.calico/),
    },
  ]);
});

describe("firewalls", () => {
  test("reports rules that drop VXLAN of other nodes, with the commands of the firewall", () => {
    const rules = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n";
    const [finding] = checkTunnels(healthy, agentWith(), reachWith(rules));
    expect(finding).toMatchObject({
      id: "tunnel-port-closed",
      severity: "error",
      subject: "iptables filter INPUT",
      text: expect.stringMatching(/^drops VXLAN of other nodes \(UDP 4789\), by its policy "drop"/),
      remedy: "iptables -I INPUT -p udp --dport 4789 -j ACCEPT",
    });
  });

  test("reports rules that drop what comes out of the tunnel", () => {
    const rules =
      "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -i eth0 -o cali+ -j ACCEPT\n-A FORWARD -i cali+ -j ACCEPT\nCOMMIT\n";
    expect(found({}, agentWith(), reachWith(rules))).toEqual([
      {
        title: "error tunnel-dropped",
        text: expect.stringMatching(
          /^iptables filter FORWARD drops packets between pods here and vxlan\.calico, by its policy "drop"/,
        ),
      },
    ]);
  });

  test("rules of which it is not sure are not reported", () => {
    const rules = "*filter\n:INPUT DROP [0:0]\n-A INPUT -m set --match-set nodes src -j ACCEPT\nCOMMIT\n";
    expect(found({}, agentWith(), reachWith(rules))).toEqual([]);
  });
});

test("the cluster CIDR is found in each mode of kube-proxy", () => {
  const iptables = '-A KUBE-SVC-X ! -s 10.244.0.0/16 -d 10.96.0.1/32 -p tcp -m comment --comment "c" -j KUBE-MARK-MASQ';
  const nftables = "\t\tip daddr 10.96.0.1 tcp dport 443 ip saddr != 10.245.0.0/16 jump mark-for-masquerade";
  const unrelated = "-A OTHER ! -s 10.9.0.0/16 -j MASQUERADE\n-A KUBE-SEP-X -s 10.244.0.5/32 -j KUBE-MARK-MASQ";
  expect(clusterCidrsIn([iptables, nftables, unrelated, iptables].join("\n"))).toEqual([
    "10.244.0.0/16",
    "10.245.0.0/16",
  ]);
});
