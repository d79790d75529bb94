/**
 * `route_localnet` makes a host port answer at 127.0.0.1; the guard prevents that others reach services that listen only there
 * (kubelet, metrics, a debugger). A pod with CAP_NET_ADMIN is the attacker: in its namespace, 127.0.0.1 is behind its gateway.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { Node } from "../lib/node/netns.ts";
import { answers, ping, serve } from "../lib/node/traffic.ts";
import { addressOf, Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";

const secretPort = 9000;
const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];

/**
 * The guard is in the table of natOutgoing and in that of the host ports; with iptables, in the raw table. A foreign IPAM plugin has no
 * pools with natOutgoing, and a pod without host ports has no table for them.
 */
const chains = [
  ["10-calico.conflist", "host ports", "nft delete chain ip tortie guard; nft delete chain ip tortie_portmap guard"],
  ["10-calico.conflist", "no host ports", "nft delete chain ip tortie guard"],
  ["10-calico-iptables.conflist", "host ports", "nft delete chain ip tortie guard; iptables -t raw -F PREROUTING"],
  ["10-calico-host-local.conflist", "no host ports", "nft delete chain ip tortie guard"],
] as const;

describe.each(chains)("guard of 127.0.0.0/8 with %s and %s", (name, ports, removeGuards) => {
  let node: Node;

  beforeAll(async () => {
    requireBuild();
    node = await Node.start();
    const attacker: Sandbox = {
      containerId: "attacker",
      netns: node.addPod("attacker"),
      ifname: "eth0",
      capabilities: ports === "host ports" ? { portMappings } : {},
    };
    const result = new Runner({ node, pluginDirs }).add(loadConflist(example(name)), attacker);
    serve(node, undefined, secretPort);
    // The node must learn the pod's MAC address now: it would not resolve it for a source of 127.0.0.1.
    ping(node, undefined, addressOf(result));
    node.sh(pretend, { in: "attacker" });
  });

  afterAll(async () => {
    await node?.stop();
  });

  test("keeps a pod out of what listens on the node's loopback address", () => {
    expect(answers(node, undefined, "127.0.0.1", secretPort)).toBe(true);
    expect(answers(node, "attacker", "127.0.0.1", secretPort)).toBe(false);
  });

  test("is what keeps it out: without the guard the pod gets in", () => {
    node.sh(removeGuards);
    expect(answers(node, "attacker", "127.0.0.1", secretPort)).toBe(true);
  });
});

/** Makes 127.0.0.1 a regular address behind the gateway. */
const pretend = `
echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet
ip address del 127.0.0.1/8 dev lo
ip route add 127.0.0.1 via 169.254.1.1 dev eth0
`;
