/** The command on a cluster's datastore, in memory: `test/cluster/command*.test.ts` has it on real ones. */
import { describe, expect, test } from "vitest";
import { ClusterWorld } from "./cluster-world.ts";
import { World } from "./world.ts";

const old = "2001-11-27 03:44:34.643780135 +0000 UTC";
const young = "2099-11-27 03:44:34.643780135 +0000 UTC";

function pod(name: string, timestamp = old) {
  return { namespace: "default", pod: name, timestamp };
}

describe("tortie ipam check in a cluster", () => {
  test("finds nothing wrong with pods and tunnels of several nodes", async () => {
    const world = new ClusterWorld("kubernetes");
    world.addPool();
    world.put("Node", "a", { ipv4VXLANTunnelAddr: "10.0.0.0" });
    world.put("Node", "b", {});
    world.addBlock("a", "10.0.0.0/26", [{ type: "vxlanTunnelAddress" }, pod("one")]);
    world.addBlock("b", "10.0.0.64/26", [pod("two"), pod("starting", young), { ...pod("two"), interface: "net1" }]);
    world.addEndpoint("a", "one", ["10.0.0.1/32"]);
    world.addEndpoint("b", "two", ["10.0.0.64/32"]);
    const { status, stdout, stderr } = await world.run("ipam check --show-all-ips");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain("Found 2 workload endpoints and 2 nodes, which have 3 IPs.");
    expect(stdout).toContain("  10.0.0.1 in use: default/one, handle net.a-1: seen on default/one of node a\n");
  });

  test("names, on every node, what nobody has, and what has it in no block; release takes back the former", async () => {
    const world = new ClusterWorld("kubernetes");
    world.addPool();
    world.put("Node", "a", {});
    world.addBlock("a", "10.0.0.0/26", [pod("gone"), pod("moved")]);
    world.addBlock("lost", "10.0.0.64/26", [{ type: "vxlanTunnelAddress" }, { timestamp: old }]);
    world.addEndpoint("a", "moved", ["10.0.0.9/32"]);
    const { status, stdout } = await world.run("ipam check -o /tmp/r.json");
    expect(status).toBe(3);
    const found = stdout.split("\n").filter((line) => line.startsWith("  "));
    expect(found).toEqual([
      "  10.0.0.0 is of default/gone, and there is no such pod",
      "  10.0.0.1 is of default/moved, and the pod does not have it",
      "  10.0.0.64 is of vxlanTunnelAddress of lost, and there is no node lost",
      "  10.0.0.9 is in use on default/moved of node a, but no block records it",
    ]);
    expect((await world.run("ipam release --from-report /tmp/r.json")).stderr).toContain(
      "wait until it is a minute old",
    );
    const { stdout: done, stderr } = await world.run("ipam release --from-report /tmp/r.json --force");
    expect(done).toContain("3 of 4 confirmed problems repaired\n");
    expect(stderr).toContain("cannot repair unknown address 10.0.0.9: it needs a manual decision");
    expect(world.names("IPAMHandle")).toEqual(["net.lost-1"]);
  }, 30_000);

  test("in etcd a container without a pod has an endpoint too", async () => {
    const world = new ClusterWorld("etcdv3");
    world.addPool();
    world.addBlock("a", "10.0.0.0/26", [{ timestamp: old }]);
    const { stdout } = await world.run("ipam check");
    expect(stdout).toContain("  10.0.0.0 is of container a-0 eth0, and no workload endpoint has it");
  }, 30_000);

  test("names the affinities of any node that do not match their block, and release corrects them", async () => {
    const world = new ClusterWorld("kubernetes");
    world.addPool();
    world.addBlock("a", "10.0.0.0/26", []);
    world.put("BlockAffinity", "b-10-0-0-0-26", {
      cidr: "10.0.0.0/26",
      node: "b",
      state: "pending",
      type: "host",
      deleted: "false",
    });
    const { stdout } = await world.run("ipam check -o /tmp/r.json");
    expect(stdout).toContain('  b-10-0-0-0-26 is pending, and block 10.0.0.0/26 belongs to "host:a"');
    await world.run("ipam release --from-report /tmp/r.json --force");
    expect(world.names("BlockAffinity")).toEqual(["a-10-0-0-0-26"]);
  }, 30_000);
});

describe("resources of a cluster", () => {
  test.each([
    ["kubernetes", "apply -f -", "Namespace", "it is Kubernetes' own: use kubectl"],
    ["kubernetes", "create -f -", "Node", "which the kubelet registers"],
    ["kubernetes", "delete -f -", "WorkloadEndpoint", "it follows from its pod"],
    ["etcdv3", "apply -f -", "WorkloadEndpoint", "it follows from its pod"],
    ["etcdv3", "get namespace", "Namespace", "etcd has none"],
    ["etcdv3", "apply -f -", "ClusterInformation", '"tortie datastore migrate" locks it'],
  ] as const)("%s: %s of a %s is refused", async (type, command, kind, reason) => {
    const object = {
      apiVersion: kind === "Namespace" ? "v1" : "projectcalico.org/v3",
      kind,
      metadata: { name: "x" },
      spec: {},
    };
    const { status, stderr } = await new ClusterWorld(type).run(command, JSON.stringify(object));
    expect(status).toBe(1);
    expect(stderr).toContain(reason);
  });

  test("a node's files have no ClusterInformation and no Profile", async () => {
    for (const kind of ["clusterinformation", "profile"])
      expect((await new World().run(`get ${kind}`)).stderr).toContain("only a cluster has");
  });

  test("a pool with a tunnel is written, and with two refused", async () => {
    const world = new ClusterWorld("kubernetes");
    const document = (spec: object) =>
      JSON.stringify({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "p" }, spec });
    const both = { cidr: "10.0.0.0/24", ipipMode: "Always", vxlanMode: "Always" };
    expect((await world.run("apply -f -", document(both))).stderr).toContain("are both enabled");
    expect((await world.run("apply -f -", document({ cidr: "10.0.0.0/24", vxlanMode: "Always" }))).stdout).toBe(
      'IPPool "p" created\n',
    );
    expect((await world.run("delete ippool p --dry-run")).stdout).toContain("deleted, 0 affinities released (dry run)");
    expect(world.names("IPPool")).toEqual(["p"]);
    expect((await world.run("ipam split 2 --name p")).status).toBe(0);
    expect(world.names("IPPool")).toEqual(["split-p-0", "split-p-1"]);
    expect((await world.run("ipam configure --strictaffinity=true")).status).toBe(0);
    expect((await world.run("get ipamconfig -o yaml")).stdout).toContain("strictAffinity: true");
  });

  test("endpoints are those with addresses, by namespace, name or pod", async () => {
    const world = new ClusterWorld("kubernetes");
    world.addEndpoint("a", "one", ["10.0.0.1/32"]);
    world.addEndpoint("a", "host", []);
    expect((await world.run("get wep -o name")).stdout).toBe("workloadendpoint/default/a-k8s-one-eth0\n");
    expect((await world.run("get wep one -o name")).stdout).toBe("workloadendpoint/default/a-k8s-one-eth0\n");
  });

  test("a datastore that does not answer: one error", async () => {
    const world = new ClusterWorld("kubernetes");
    world.datastore.isAway = true;
    for (const command of ["get ippool", "ipam show", "ipam check", "delete ippool p"]) {
      const { status, stdout, stderr } = await world.run(command);
      expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
      expect(stderr).toMatch(/^tortie: cannot .*it does not answer\n$/);
    }
  });
});

describe("kinds of Calico's other programs", () => {
  const spec = { tier: "default", order: 10, selector: "app == 'web'", nets: ["10.0.0.0/8"] };

  test.each([
    ["networkpolicies -o wide", "NetworkPolicy", "shop   web    default   10      app == 'web'"],
    ["gnp -o wide", "GlobalNetworkPolicy", "web    default   10      app == 'web'"],
    ["netset -o wide", "NetworkSet", "shop        web    10.0.0.0/8"],
    ["globalnetworksets -o wide", "GlobalNetworkSet", "web    10.0.0.0/8"],
    ["tier", "Tier", "web    10"],
    ["hep", "HostEndpoint", "web"],
    ["kcc", "KubeControllersConfiguration", "web"],
    ["caliconodestatuses", "CalicoNodeStatus", "web"],
  ] as const)("get %s shows them, says what they do here, and no more", async (args, kind, row) => {
    const world = new ClusterWorld("kubernetes");
    world.put(kind, "web", spec, kind.startsWith("Network") ? { namespace: "shop" } : {});
    const { status, stdout, stderr } = await world.run(`get ${args}`);
    expect([status, stdout.split("\n")[1]?.replace(/ +/g, " ").trim()]).toEqual([0, row.replace(/ +/g, " ")]);
    expect(stderr).toMatch(
      /^tortie: (Tortie enforces no network policy|.*Tortie (does not read it|has "tortie node status"))\n$/,
    );
    const document = `{kind: ${kind}, apiVersion: projectcalico.org/v3, metadata: {name: new}, spec: {}}`;
    for (const verb of ["apply", "create", "replace", "validate"]) {
      const refused = await world.run(`${verb} -f -`, document);
      expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining(`cannot ${verb} ${kind} "new": `)]);
    }
    expect((await world.run(`delete ${kind} web`)).status).toBe(1);
    expect(world.names(kind)).toEqual(["web"]);
    expect((await new World().run(`get ${kind}`)).stderr).toContain("only a cluster has a");
  });

  test("those of one namespace are selected by it", async () => {
    const world = new ClusterWorld("etcdv3");
    for (const namespace of ["shop", "bank"]) world.put("NetworkPolicy", `web-${namespace}`, spec, { namespace });
    expect((await world.run("get np -n bank -o name")).stdout).toBe("networkpolicy/bank/web-bank\n");
    expect((await world.run("get gnp -n bank")).stderr).toContain("have no namespace");
  });
});
