/**
 * Nodes in two subnets with a router between them, and a datastore that each of them reaches at its own loopback:
 *
 *     node-a 10.1.0.1 ┐                                  ┌ node-c 10.2.0.1
 *                     ├─ bridge 10.1.0.254 ─ router ─ 10.2.0.254 bridge
 *     node-b 10.1.0.2 ┘                        │
 *                                           outside: 203.0.113.2, which has routes to nodes and to no pod
 *
 * The same with 2001:db8:1::/64 and 2001:db8:2::/64. **Nothing of it has a name on the machine**: links are made in the nodes' namespaces.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Node, systemPath } from "../node/netns.ts";

export interface Place {
  readonly name: string;
  /** 1 or 2. */
  readonly subnet: number;
  /** The last part of its address. */
  readonly host: number;
}

export interface FabricNode extends Place {
  readonly node: Node;
  readonly address4: string;
  readonly address6: string;
}

export class Fabric {
  readonly router: Node;
  readonly nodes: readonly FabricNode[];
  readonly #doors: readonly Door[];

  private constructor(router: Node, nodes: readonly FabricNode[], doors: readonly Door[]) {
    this.router = router;
    this.nodes = nodes;
    this.#doors = doors;
  }

  /** `datastore`: its port on the machine's loopback, and on that of each node. */
  static async start(places: readonly Place[], datastore: number): Promise<Fabric> {
    const router = await Node.start("router");
    router.sh(routerSetUp);
    const nodes: FabricNode[] = [];
    const doors: Door[] = [];
    for (const place of places) {
      const node = await Node.start(place.name);
      attach(router, node, place);
      nodes.push({ ...place, node, ...addressesOf(place) });
      doors.push(await Door.open(node, datastore));
    }
    return new Fabric(router, nodes, doors);
  }

  named(name: string): FabricNode {
    const found = this.nodes.find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no node ${name}`);
    return found;
  }

  /** Cuts a node off from the datastore, which does not answer it any more, or ends that: the others go on. */
  cutOff(name: string, isCut: boolean): void {
    const index = this.nodes.findIndex((one) => one.name === name);
    this.#doors[index]?.signal(isCut ? "SIGSTOP" : "SIGCONT");
  }

  async stop(): Promise<void> {
    for (const door of this.#doors) door.close();
    await Promise.all([...this.nodes.map(({ node }) => node.stop()), this.router.stop()]);
  }
}

function addressesOf({ subnet, host }: Place) {
  return { address4: `10.${subnet}.0.${host}`, address6: `2001:db8:${subnet}::${host}` };
}

const routerSetUp = `
for subnet in 1 2; do
  ip link add subnet$subnet type bridge
  ip address add 10.$subnet.0.254/24 dev subnet$subnet
  ip address add 2001:db8:$subnet::fe/64 dev subnet$subnet nodad
  ip link set subnet$subnet up
  ip -n outside route add 10.$subnet.0.0/24 via 203.0.113.1
done
ip -n outside -6 route add 2001:db8::/32 via 2001:db8:99::1
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
`;

/** Replaces the node's uplink by one in the subnet. The agent reads interfaces from /sys, which shows those of the namespace that mounted it. */
function attach(router: Node, node: Node, place: Place): void {
  const { address4, address6 } = addressesOf(place);
  node.sh("ip link delete uplink; mount -t sysfs sysfs /sys");
  const port = `to-${place.name}`;
  const ends = ["eth0", "netns", `${node.pid}`, "type", "veth", "peer", "name", port, "netns", `${router.pid}`];
  execFileSync("/usr/sbin/ip", ["link", "add", ...ends], { env: { PATH: systemPath } });
  router.sh(`ip link set ${port} master subnet${place.subnet} up`);
  node.sh(`
ip address add ${address4}/24 dev eth0
ip address add ${address6}/64 dev eth0 nodad
ip link set eth0 up
ip route add default via 10.${place.subnet}.0.254
ip -6 route add default via 2001:db8:${place.subnet}::fe
`);
}

/**
 * Leads from a port of a node's loopback to that of the machine's. A Unix socket connects the two: its path is known in both network namespaces. Each half is a
 * process of its own, because tests run plugins synchronously.
 */
class Door {
  readonly #outside: ChildProcess;
  readonly #path: string;

  private constructor(outside: ChildProcess, path: string) {
    this.#outside = outside;
    this.#path = path;
  }

  static async open(node: Node, port: number): Promise<Door> {
    const path = join(tmpdir(), `tortie-door-${node.pid}`);
    // Of a test that was killed, whose node had this process ID.
    rmSync(path, { force: true });
    const relay = ["-e", relayProgram];
    const outside = spawn(process.execPath, [...relay, path, `127.0.0.1:${port}`], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(outside.stdout, "data");
    const inside = node.start([process.execPath, ...relay, `127.0.0.1:${port}`, path]);
    await once(inside.stdout ?? inside, "data");
    return new Door(outside, path);
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#outside.kill(signal);
  }

  close(): void {
    this.#outside.kill("SIGCONT");
    this.#outside.kill();
    rmSync(this.#path, { force: true });
  }
}

/** From one address to another: `HOST:PORT`, or the path of a Unix socket. It ends with its standard input, which ends with the test. */
const relayProgram = `
const { connect, createServer } = require("node:net");
const at = (text) => text.startsWith("/") ? { path: text } : { host: text.split(":")[0], port: Number(text.split(":")[1]) };
const [from, to] = process.argv.slice(1).map(at);
createServer((inner) => {
  const outer = connect(to);
  for (const socket of [inner, outer]) socket.on("error", () => {}).on("close", () => { inner.destroy(); outer.destroy(); });
  inner.pipe(outer).pipe(inner);
}).listen(from, () => console.log("open"));
if (from.path) process.stdin.on("end", () => process.exit()).resume();
`;
