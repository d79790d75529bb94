/** A real runtime: podman 4 with its CNI back end, on a node that was installed and configured with the commands of README.md. */
import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { install } from "../lib/node/install.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node, nodeAddress4, outsideAddress4 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { answers, ask, ping, receive, waitForPort } from "../lib/node/traffic.ts";
import { Podman, podmanIsMissing } from "../lib/runtimes/podman.ts";
import { example, requireBuild } from "../lib/suite.ts";

/** The network in the example for podman; README has the other one. */
const network = "tortie";
const secondNetwork = "k8s-pod-network";

let node: Node;
let podman: Podman;
let clean: string;

beforeAll(async () => {
  if (podmanIsMissing !== undefined) return;
  requireBuild();
  node = await Node.start();
  install(node);
  const conflist = readFileSync(example("87-podman.conflist"), "utf8");
  node.sh("cat > /etc/cni/net.d/87-podman.conflist", { stdin: conflist });
  podman = new Podman(node);
  // On its first run podman writes its own default network there.
  podman.must(["network", "ls"]);
});

afterAll(async () => {
  await node?.stop();
  podman?.close();
});

beforeEach((context) => {
  context.skip(podmanIsMissing !== undefined, podmanIsMissing);
  clean = snapshot(node);
});

afterEach(() => {
  podman?.run(["rm", "-f", "-a", "-t", "0"]);
});

/** Starts a container that serves; returns its namespace and its address on the first network. */
function start(name: string, options: readonly string[] = []): { readonly netns: string; readonly ip: string } {
  const { netns, networks } = podman.start(name, ["--network", network, ...options]);
  waitForPort(node, netns, 80);
  return { netns, ip: networks[network]?.IPAddress ?? "" };
}

/** libcni's cache directory, the runtime's, and podman's lock. */
const podmansOwn =
  /^\+ file (\/var\/lib\/cni\/|\/run\/(runc|cni|libpod|lock|containers|crun)(\/|$| )|\/(etc|var\/lib)\/containers\/)/;

function expectNothingLeft(): void {
  expect(leaks(diff(clean, snapshot(node))).filter((line) => !podmansOwn.test(line))).toEqual([]);
}

test("podman lists the networks", () => {
  expect(podman.must(["network", "ls", "-q"]).split("\n")).toEqual(expect.arrayContaining([network, secondNetwork]));
});

test("podman: two containers reach each other, a published port answers, and removal leaves nothing", () => {
  const web = start("web", ["-p", "8080:80"]);
  const peer = start("peer");
  expect(web.ip).toMatch(/^10\.88\./);
  expect(ping(node, peer.netns, web.ip)).toBe(true);
  expect(podman.exec("web", ["ping", "-c", "1", "-W", "2", peer.ip]).status).toBe(0);
  expect(ask(node, peer.netns, web.ip, 80)).toBe(`web sees ${peer.ip}`);
  expect(ping(node, web.netns, outsideAddress4)).toBe(true);
  expect(ask(node, "outside", nodeAddress4, 8080)).toBe(`web sees ${outsideAddress4}`);
  expect(ask(node, undefined, "127.0.0.1", 8080)).toContain("web sees");
  podman.remove("web", "peer");
  expectNothingLeft();
});

test("podman publishes ranges of ports, UDP ports and ports of one address", () => {
  const ports = ["-p", "8100-8103:80-83", "-p", "5353:53/udp", "-p", `${nodeAddress4}:8443:80`];
  const { netns } = start("web", ports);
  podman.exec("web", ["httpd", "-p", "83", "-h", "/www"]);
  for (const port of [8100, 8103]) expect(ask(node, "outside", nodeAddress4, port)).toContain("web sees");
  expect(ask(node, "outside", nodeAddress4, 8443)).toContain("web sees");
  expect(answers(node, undefined, "127.0.0.1", 8443)).toBe(false);
  const port = { spot: netns, port: 53 };
  expect(receive(node, port, { spot: "outside", host: nodeAddress4, port: 5353 })).toBe("hello");
  podman.remove("web");
  expectNothingLeft();
});

test("podman: a container gets the addresses that --ip and --mac-address request", () => {
  const { ip } = start("web", ["--ip", "10.88.5.6", "--mac-address", "02:11:22:33:44:55"]);
  expect(ip).toBe("10.88.5.6");
  expect(podman.inspect("web").networks[network]?.MacAddress).toBe("02:11:22:33:44:55");
  expect(podman.exec("web", ["ip", "link", "show", "eth0"]).stdout).toContain("02:11:22:33:44:55");
  expect(ping(node, undefined, ip)).toBe(true);
  expect(() => start("other", ["--ip", "10.88.5.6"])).toThrow(/10\.88\.5\.6/);
  podman.remove("web");
  podman.run(["rm", "-f", "other"]);
  expectNothingLeft();
});

describe("podman: a container in two networks", () => {
  test("is reached by both addresses, and its published port by the first", () => {
    const { netns } = start("web", ["--network", secondNetwork, "-p", "8080:80"]);
    const addresses = Object.values(podman.inspect("web").networks).map(({ IPAddress }) => IPAddress);
    expect(new Set(addresses).size).toBe(2);
    for (const address of addresses) expect(ask(node, undefined, address, 80)).toContain("web sees");
    for (const link of ["eth0", "eth1"]) expect(node.sh("ip -br link", { in: netns })).toContain(link);
    expect(ask(node, "outside", nodeAddress4, 8080)).toBe(`web sees ${outsideAddress4}`);
    podman.remove("web");
    expectNothingLeft();
  });

  test("may be connected to the second later, and disconnected from it", () => {
    const { netns, ip } = start("web", ["-p", "8080:80"]);
    podman.must(["network", "connect", secondNetwork, "web"]);
    const second = podman.inspect("web").networks[secondNetwork]?.IPAddress ?? "";
    expect(ask(node, undefined, second, 80)).toContain("web sees");
    podman.must(["network", "disconnect", secondNetwork, "web"]);
    expect(node.sh("ip -br link", { in: netns })).not.toContain("eth1");
    expect(ask(node, undefined, ip, 80)).toContain("web sees");
    expect(ask(node, "outside", nodeAddress4, 8080)).toContain("web sees");
    podman.remove("web");
    expectNothingLeft();
  });

  test("goes on by the second when it is disconnected from the first", () => {
    start("web", ["--network", secondNetwork, "-p", "8080:80"]);
    podman.must(["network", "disconnect", network, "web"]);
    expect(ask(node, "outside", nodeAddress4, 8080)).toContain("web sees");
    podman.remove("web");
    expectNothingLeft();
  });
});

test("podman: a restarted container gets its network again, and its port only once", () => {
  start("first", ["-p", "8081:80"]);
  expect(() => start("second", ["-p", "8081:80"])).toThrow(/8081/);
  podman.must(["restart", "-t", "0", "first"]);
  waitForPort(node, podman.inspect("first").netns, 80);
  expect(ask(node, "outside", nodeAddress4, 8081)).toContain("first sees");
  podman.remove("first", "second");
  expectNothingLeft();
});

test("podman: a killed container leaves nothing, and serves after a new start", () => {
  start("web", ["-p", "8080:80"]);
  podman.must(["kill", "web"]);
  podman.must(["start", "web"]);
  waitForPort(node, podman.inspect("web").netns, 80);
  expect(ask(node, "outside", nodeAddress4, 8080)).toContain("web sees");
  podman.must(["kill", "web"]);
  podman.remove("web");
  expectNothingLeft();
});

test("podman removes a container whose conmon was killed before it could clean up", () => {
  start("web", ["-p", "8080:80"]);
  const monitor = podman.must(["inspect", "-f", "{{.State.ConmonPid}} {{.State.Pid}}", "web"]).trim();
  node.sh(`kill -9 ${monitor}`);
  // podman 4.3 may fail once because the container is not running any more; the next call succeeds.
  podman.run(["rm", "-f", "-a", "-t", "0"]);
  podman.must(["rm", "-f", "-a", "-t", "0"]);
  expectNothingLeft();
});

test("podman: 8 containers started concurrently get an address each", async () => {
  const names = Array.from({ length: 8 }, (_, index) => `box-${index}`);
  await Promise.all(
    names.map((name, index) => podman.startLater(name, ["--network", network, "-p", `${8200 + index}:80`])),
  );
  const containers = names.map((name) => podman.inspect(name));
  expect(new Set(containers.map(({ networks }) => networks[network]?.IPAddress)).size).toBe(8);
  for (const [index, { netns }] of containers.entries()) {
    waitForPort(node, netns, 80);
    expect(ask(node, "outside", nodeAddress4, 8200 + index)).toContain(`box-${index} sees`);
  }
  podman.remove(...names);
  expectNothingLeft();
});

// Last: the Go plugins leave their bridge and their chains.
test("podman: a container without --network still gets podman's own default network", () => {
  const { netns } = podman.start("plain", []);
  expect(node.sh("ip -br address show eth0", { in: netns })).toContain("UP");
  podman.remove("plain");
});
