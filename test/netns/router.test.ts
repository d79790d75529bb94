/** The node becomes a router and otherwise stays the same: its routes from router advertisements, and links that must not forward. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { Node, outsideAddress6 } from "../lib/node/netns.ts";
import { Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";

const list = loadConflist(example("10-calico-dual-stack.conflist"));
let node: Node;
let runner: Runner;

beforeEach(async () => {
  requireBuild();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
  node.sh(`
    ip -6 route del default
    cd /proc/sys/net/ipv6/conf
    echo 0 > all/forwarding
    for link in default uplink; do echo 1 > $link/accept_ra; done`);
});

afterEach(async () => {
  await node?.stop();
});

function addPod(pod: string): Sandbox {
  const sandbox = { containerId: pod, netns: node.addPod(pod), ifname: "eth0" };
  runner.add(list, sandbox);
  return sandbox;
}

/** RFC 4861 section 4.2: type 134, hop limit 64, router lifetime 30 minutes; from the link's own address, with hop limit 255. */
const advertiser = `
use Socket qw(:all);
socket(my $s, AF_INET6, SOCK_RAW, 58) or die $!;
setsockopt($s, 41, 18, pack("i", 255)) or die $!;
my $index = $ARGV[0];
send($s, pack("CCnCCnNN", 134, 0, 0, 64, 0, 1800, 0, 0), 0, pack_sockaddr_in6(0, inet_pton(AF_INET6, "ff02::1"), $index)) or die $!;`;

/** The router outside sends advertisements over one of its links until the node has a default route over `link`. */
function advertise(link: string): void {
  const index = node.sh(`ip -j link show ${link} | sed -E 's/.*"ifindex":([0-9]+).*/\\1/'`, { in: "outside" }).trim();
  node.sh(`
    for i in $(seq 50); do
      ip netns exec outside perl -e '${advertiser}' ${index} 2>/dev/null || true
      ip -6 route show default proto ra dev ${link} | grep -q . && exit 0
      sleep 0.1
    done
    exit 1`);
}

function advertised(link = "uplink"): string {
  return node.sh(`ip -6 route show default proto ra dev ${link} | cut -d' ' -f1-3`).trim();
}

function setting(path: string): string {
  return node.sh(`cat /proc/sys/net/${path}`).trim();
}

test("calico keeps a default route from a router advertisement across the first IPv6 pod, the next one, a repeated ADD and DEL", () => {
  advertise("uplink");
  const first = addPod("a");
  expect(advertised()).toBe("default via fe80::2");
  const second = addPod("b");
  runner.add(list, first);
  expect(advertised()).toBe("default via fe80::2");
  for (const sandbox of [first, second]) runner.del(list, sandbox);
  expect(advertised()).toBe("default via fe80::2");
  expect(node.run(["ping", "-6", "-n", "-c", "1", "-W", "2", outsideAddress6]).status).toBe(0);
});

test("calico: an uplink created after the first pod listens to router advertisements as before", () => {
  addPod("a");
  node.sh(`
    ip link add later type veth peer name later netns outside
    ip -n outside link set later up
    ip link set later up`);
  advertise("later");
  addPod("b");
  expect(advertised("later")).toMatch(/^default via fe80:/);
});

test("calico on a node that forwards already leaves an uplink that does not forward unchanged, with its route", () => {
  node.sh("cd /proc/sys/net/ipv6/conf; echo 1 > all/forwarding; echo 0 > uplink/forwarding");
  advertise("uplink");
  for (const pod of ["a", "b"]) {
    runner.check(list, addPod(pod));
    expect(advertised()).toBe("default via fe80::2");
    expect([setting("ipv6/conf/uplink/forwarding"), setting("ipv6/conf/uplink/accept_ra")]).toEqual(["0", "1"]);
  }
});

test("calico ignores router advertisements of pods", () => {
  addPod("a");
  addPod("b");
  const own = node.sh("cd /proc/sys/net/ipv6/conf; grep -H . cali*/accept_ra all/accept_ra").trim().split("\n");
  expect(own.map((line) => line.replace(/^cali.*:/, "own:"))).toEqual([
    "own:0",
    "own:0",
    expect.stringMatching(/^all.*:1$/),
  ]);
});

test("calico on a node that forwards IPv4 already leaves an interface that an administrator excepted unchanged", () => {
  node.sh("cd /proc/sys/net/ipv4; echo 1 > ip_forward; echo 0 > conf/uplink/forwarding");
  for (const pod of ["a", "b"]) {
    addPod(pod);
    expect(setting("ipv4/conf/uplink/forwarding")).toBe("0");
  }
});
