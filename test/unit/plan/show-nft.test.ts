import { expect, test } from "vitest";
import { parseConf } from "../../../plugins/portmap/conf.ts";
import { mappedPorts } from "../../../plugins/portmap/mapped.ts";
import { natOutgoing } from "../../../src/plan/nat-outgoing.ts";
import { showNft } from "../../../src/plan/show-nft.ts";

const owner = "tortie:net1/c1/eth0";

test("showNft() of natOutgoing", () => {
  expect(showNft(natOutgoing([{ cidr: "10.0.0.0/16", nat: true }]), owner)).toEqual([
    "nft 'add table ip tortie'",
    `nft 'add set ip tortie all_pools { type ipv4_addr; flags interval; comment "where pods are"; }'`,
    `nft 'add set ip tortie nat_pools { type ipv4_addr; flags interval; comment "pools with natOutgoing"; }'`,
    `nft 'add map ip tortie pools_digest { type mark : mark; comment "of the pools in these sets"; }'`,
    "nft 'add chain ip tortie postrouting { type nat hook postrouting priority 100; policy accept; }'",
    "nft 'add chain ip tortie guard { type filter hook prerouting priority -300; policy accept; }'",
    `nft 'add rule ip tortie postrouting ip saddr @nat_pools ip daddr != @all_pools masquerade comment "pods leave by the address of the node"'`,
    `nft 'add rule ip tortie guard iifname != "lo" ip daddr 127.0.0.0/8 drop comment "127.0.0.0/8 is for the host alone"'`,
    "nft 'add element ip tortie all_pools { 10.0.0.0/16 }'",
    "nft 'add element ip tortie nat_pools { 10.0.0.0/16 }'",
    "nft 'add element ip tortie pools_digest { 1 : 255550297 }'",
  ]);
});

test("showNft() of a port mapping", () => {
  const conf = parseConf({
    conditionsV4: ["ip", "saddr", "!=", "192.0.2.9"],
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
  });
  const resources = mappedPorts(conf, [{ family: "ip", address: "10.0.0.5", subnet: "10.0.0.5/32" }]);
  const commands = showNft(resources, owner).map((command) => command.slice("nft '".length, -1));
  expect(commands.filter((command) => command.startsWith("add rule"))).toEqual(
    [
      'add rule ip tortie_portmap hostports ip daddr . meta l4proto . th dport vmap @hostip_conditions comment "conditions of one address"',
      'add rule ip tortie_portmap hostports dnat ip to ip daddr . meta l4proto . th dport map @hostip_ports comment "ports of one address"',
      'add rule ip tortie_portmap hostports meta l4proto . th dport vmap @conditions comment "conditions of any address"',
      'add rule ip tortie_portmap hostports dnat ip to meta l4proto . th dport map @ports comment "ports of any address"',
      'add rule ip tortie_portmap prerouting fib daddr type local jump hostports comment "to an address of the host"',
      'add rule ip tortie_portmap output fib daddr type local jump hostports comment "to an address of the host"',
      'add rule ip tortie_portmap masquerading ct status dnat ip saddr . ip daddr @hairpin masquerade comment "a container to itself"',
      'add rule ip tortie_portmap masquerading ct status dnat ip saddr 127.0.0.0/8 ip daddr @localhost masquerade comment "the host by its loopback address"',
      'add rule ip tortie_portmap masquerading ct status dnat ip daddr @masq_all masquerade comment "every client"',
      'add rule ip tortie_portmap guard iifname != "lo" ip daddr 127.0.0.0/8 drop comment "127.0.0.0/8 is for the host alone"',
      'add rule ip tortie_portmap conditions_4c9e ip saddr != 192.0.2.9 return comment "conditions met"',
      'add rule ip tortie_portmap conditions_4c9e accept comment "conditions not met"',
    ].map((line) =>
      line.replace(
        "conditions_4c9e",
        commands.find((one) => one.includes("chain ip tortie_portmap conditions_"))?.split(" ")[4] ?? "",
      ),
    ),
  );
  expect(commands.slice(-5)).toEqual([
    'add element ip tortie_portmap owner_net1/c1/eth0 { 1 comment "ports tcp . 8080", 2 comment "conditions tcp . 8080", 3 comment "hairpin 10.0.0.5 . 10.0.0.5", 4 comment "localhost 10.0.0.5" }',
    'add element ip tortie_portmap ports { tcp . 8080 comment "tortie:net1/c1/eth0" : 10.0.0.5 . 80 }',
    expect.stringMatching(
      /^add element ip tortie_portmap conditions \{ tcp \. 8080 comment "tortie:net1\/c1\/eth0" : jump conditions_[0-9a-f]{12} \}$/,
    ),
    'add element ip tortie_portmap hairpin { 10.0.0.5 . 10.0.0.5 comment "tortie:net1/c1/eth0" }',
    'add element ip tortie_portmap localhost { 10.0.0.5 comment "tortie:net1/c1/eth0" }',
  ]);
});
