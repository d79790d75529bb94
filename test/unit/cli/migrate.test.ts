import { describe, expect, test } from "vitest";
import { writeEndpoint } from "../../../src/endpoint/endpoint.ts";
import { newBlock } from "../../../src/ipam/model/block.ts";
import { formatObject } from "../../../src/store/file/layout.ts";
import { ClusterWorld } from "./cluster-world.ts";
import { fixtureWorld, World } from "./world.ts";

/** The export of a node's files: a pool, a block and a pod's endpoint. */
async function exported(): Promise<string> {
  const world = fixtureWorld();
  const block = newBlock("192.168.185.0/26", "host:mac-k8s", 1690113884806720498n);
  world.write("/run/tortie/ipam/blocks/192-168-185-0-26.json", formatObject(block));
  writeEndpoint(world.sys, {
    attachment: { network: "net", containerId: "c1", ifname: "eth0" },
    node: "mac-k8s",
    pod: { namespace: "default", name: "web" },
    hostInterface: "cali0123456789a",
    mac: "ee:ee:ee:ee:ee:ee",
    addresses: ["192.168.185.1/32"],
    netns: "/run/netns/web",
  });
  const { status, stdout, stderr } = await world.run("datastore migrate export");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}

describe("tortie datastore migrate", () => {
  test("moves a node's files into etcd and from there into Kubernetes, exact, and a second time changes nothing", async () => {
    const etcd = new ClusterWorld("etcdv3");
    const files = await exported();
    expect(await etcd.run("datastore migrate import -f -", files)).toMatchObject({ status: 0, stderr: "" });
    expect((await etcd.run("get ipamblock -o yaml")).stdout).toContain("sequenceNumber: 1690113884806720498");
    expect((await etcd.run("get clusterinformation -o yaml")).stdout).toContain("datastoreReady: false");
    expect((await etcd.run("datastore migrate import -f -", files)).stdout).toContain(
      "0 objects written, 3 were there already",
    );

    const dump = (await etcd.run("datastore migrate export")).stdout;
    expect((await etcd.run("get wep web -o wide")).stdout).toContain("192.168.185.1/32   cali0123456789a");
    const kubernetes = new ClusterWorld("kubernetes");
    kubernetes.put("Node", "mac-k8s", {});
    const moved = await kubernetes.run("datastore migrate import -f -", dump);
    expect(moved).toMatchObject({ status: 0, stderr: "" });
    expect(moved.stdout).toContain("2 objects written, 0 were there already, 1 left out");
    const guid = async (world: World) =>
      /clusterGUID: (\w+)/.exec((await world.run("get clusterinformation -o yaml")).stdout)?.[1];
    expect(await guid(kubernetes)).toBe(await guid(etcd));
    expect((await kubernetes.run("datastore migrate unlock")).stdout).toBe("Datastore unlocked.\n");
    expect((await kubernetes.run("get clusterinformation -o yaml")).stdout).toContain("datastoreReady: true");
  });

  test("export names what it leaves out of a cluster", async () => {
    const world = new ClusterWorld("etcdv3");
    await world.run("datastore migrate lock");
    expect((await world.run("datastore migrate export")).stderr).toBe("");
    for (const name of ["a", "b"]) world.put("NetworkPolicy", name, {}, { namespace: "default" });
    world.put("Tier", "default", {});
    const { status, stderr } = await world.run("datastore migrate export");
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: "tortie: left out 2 NetworkPolicy and 1 Tier, which Tortie does not write: move them with calicoctl\n",
    });
  });

  test("export of a cluster that is not locked, and import into one: refused", async () => {
    const world = new ClusterWorld("etcdv3");
    expect((await world.run("datastore migrate export")).stderr).toContain("the datastore is not locked");
    await world.run("datastore migrate unlock");
    expect((await world.run("datastore migrate import -f -", await exported())).stderr).toContain(
      "the datastore is in use",
    );
    await world.run("datastore migrate lock");
    expect((await world.run("datastore migrate import -f -", await exported())).status).toBe(0);
  });

  test("nothing is written if an object is there with other contents, or a node is missing", async () => {
    const etcd = new ClusterWorld("etcdv3");
    etcd.put("IPPool", "default-ipv4-ippool", { cidr: "10.0.0.0/16" });
    expect((await etcd.run("datastore migrate import -f -", await exported())).stderr).toBe(
      'tortie: cannot import: IPPool "default-ipv4-ippool" is there with other contents\n',
    );
    expect(etcd.names("IPAMBlock")).toEqual([]);
    const kubernetes = new ClusterWorld("kubernetes");
    const source = new ClusterWorld("etcdv3");
    source.addBlock("n", "10.0.0.0/26", []);
    await source.run("datastore migrate lock");
    const dump = (await source.run("datastore migrate export")).stdout;
    expect((await kubernetes.run("datastore migrate import -f -", dump)).stderr).toContain(
      'Kubernetes has no node "n"',
    );
  });

  test.each([
    ["datastore migrate import", 2, "wanted -f"],
    ["datastore migrate export -f x", 2, "only import has -f"],
    ["datastore migrate lock", 1, "only a cluster's datastore can be locked"],
    ["datastore migrate import -f x", 1, "cannot import into the files of this node"],
    ["datastore migrate", 2, "<step> is missing"],
  ])("%s on a node: %i", async (line, status, message) => {
    const outcome = await new World().run(line);
    expect(outcome.status).toBe(status);
    expect(outcome.stderr).toContain(message);
  });
});
