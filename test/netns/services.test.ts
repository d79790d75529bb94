/**
 * A host port never takes packets for a service, with any mode of kube-proxy and in any order of arrival. kube-proxy's rules are reduced to those
 * that matter.
 */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Conflist, loadConflist } from "../lib/conflist.ts";
import { Node, nodeAddress4, nodeAddress6 } from "../lib/node/netns.ts";
import { ask, serve } from "../lib/node/traffic.ts";
import { Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";

const calico = loadConflist(example("10-calico.conflist"));
const dual: Conflist = {
  ...calico,
  plugins: calico.plugins.map((plugin) =>
    plugin.type === "calico" ? { ...plugin, ipam: { type: "calico-ipam", assign_ipv6: "true" } } : plugin,
  ),
};
const service4 = "10.96.0.1";
const service6 = "2001:db8:96::1";

let node: Node;
let runner: Runner;

beforeAll(requireBuild);

beforeEach(async () => {
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
});

afterEach(async () => {
  await node?.stop();
});

function add(
  pod: string,
  hostPorts: readonly number[],
): { readonly ip: string; readonly ip6: string; readonly sandbox: Sandbox } {
  const portMappings = hostPorts.map((hostPort) => ({ hostPort, containerPort: 443, protocol: "tcp" }));
  const sandbox = { containerId: pod, netns: node.addPod(pod), ifname: "eth0", capabilities: { portMappings } };
  const { ips = [] } = runner.add(dual, sandbox);
  const [ip = "", ip6 = ""] = ips.map(({ address }) => address.replace(/\/.*/, ""));
  return { ip, ip6, sandbox };
}

interface Endpoints {
  readonly ip: string;
  readonly ip6: string;
}

interface Mode {
  readonly what: string;
  /** The address of the service. */
  readonly at: readonly [ip: string, ip6: string];
  readonly start: (endpoints: Endpoints) => void;
  /** The endpoint of the service: a pod, or the node itself in place of IPVS. */
  readonly answers: string;
  readonly needsAnotherAdd?: boolean;
}

const iptablesMode = ({ ip, ip6 }: Endpoints) => {
  for (const [program, at, to] of [
    ["iptables", nodeAddress4, ip],
    ["ip6tables", nodeAddress6, `[${ip6}]`],
  ]) {
    node.sh(`${program} -t nat -N KUBE-SERVICES; ${program} -t nat -N KUBE-NODEPORTS
      for chain in PREROUTING OUTPUT; do ${program} -t nat -I $chain -j KUBE-SERVICES; done
      ${program} -t nat -A KUBE-SERVICES -d ${at} -p tcp --dport 443 -j DNAT --to-destination ${to}:443`);
  }
};

const nftablesMode = ({ ip, ip6 }: Endpoints) => {
  for (const [family, at, to] of [
    ["ip", nodeAddress4, ip],
    ["ip6", nodeAddress6, `[${ip6}]`],
  ]) {
    const rule = `${family} daddr ${at} tcp dport 443 dnat to ${to}:443`;
    node.sh(`nft 'table ${family} kube-proxy {
      chain nat-prerouting { type nat hook prerouting priority dstnat; ${rule}; }
      chain nat-output { type nat hook output priority -100; ${rule}; }
    }'`);
  }
};

const ipvsMode = (link: string) => () => {
  node.sh(
    `ip link add ${link} type ifb; ip address add ${service4}/32 dev ${link}; ip address add ${service6}/128 dev ${link} nodad`,
  );
  for (const [program, at] of [
    ["iptables", service4],
    ["ip6tables", service6],
  ]) {
    node.sh(`${program} -t nat -N KUBE-SERVICES
      for chain in PREROUTING OUTPUT; do ${program} -t nat -I $chain -j KUBE-SERVICES; done
      ${program} -t nat -A KUBE-SERVICES -d ${at} -p tcp --dport 443 -j ACCEPT`);
  }
  serve(node, undefined, 443, "service");
};

const modes: readonly Mode[] = [
  { what: "iptables mode", at: [nodeAddress4, nodeAddress6], start: iptablesMode, answers: "backend" },
  { what: "nftables mode", at: [nodeAddress4, nodeAddress6], start: nftablesMode, answers: "backend" },
  {
    what: "IPVS mode",
    at: [service4, service6],
    start: ipvsMode("kube-ipvs0"),
    answers: "service",
    needsAnotherAdd: true,
  },
  {
    what: "IPVS mode, by its chain alone",
    at: [service4, service6],
    start: ipvsMode("lb0"),
    answers: "service",
    needsAnotherAdd: true,
  },
];

describe.each(modes)("with kube-proxy in $what", ({ at, start, answers: who, needsAnotherAdd }) => {
  test.each(["before", "after"])("that came %s the host port, services win", (order) => {
    const backend = add("backend", []);
    serve(node, "backend", 443);
    add("client", []);
    if (order === "before") start(backend);
    const ingress = add("ingress", [443, 9443]);
    serve(node, "ingress", 443);
    if (order === "after") {
      start(backend);
      if (needsAnotherAdd) add("next", [8443]);
    }
    for (const address of at) {
      expect(ask(node, undefined, address, 443)).toContain(`${who} sees`);
      expect(ask(node, "client", address, 443)).toContain(`${who} sees`);
    }
    expect(ask(node, "outside", nodeAddress4, 9443)).toContain("ingress sees");
    expect(ask(node, "outside", nodeAddress6, 9443)).toContain("ingress sees");
    expect(ask(node, "client", nodeAddress4, 9443)).toContain("ingress sees");
    runner.check(dual, ingress.sandbox);
    runner.del(dual, ingress.sandbox);
    expect(node.sh("nft list ruleset; iptables-save; ip6tables-save")).not.toContain(ingress.ip);
  });
});
