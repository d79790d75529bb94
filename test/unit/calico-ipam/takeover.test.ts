/** A pod's next sandbox and the fixed address of the previous one, which has had no DEL. */
import { beforeEach, describe, expect, test } from "vitest";
import { writeEndpoint } from "../../../src/endpoint/endpoint.ts";
import { FakeSys } from "../../lib/fake/sys.ts";
import { type Call, IpamWorld } from "./world.ts";

let world: IpamWorld;
const addresses = ["10.65.0.50", "fd65::50"];

beforeEach(() => {
  world = new IpamWorld();
  world.pool("four", { cidr: "10.65.0.0/24" });
  world.pool("six", { cidr: "fd65::/64" });
});

function argsOf(pod: string, more = ""): string {
  return `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod}${more}`;
}

const annotations = { "cni.projectcalico.org/ipAddrs": JSON.stringify(addresses) };

/** Every way of requesting addresses. */
const ways: readonly (readonly [string, (pod: string) => Call])[] = [
  ["CNI_ARGS", (pod) => ({ args: argsOf(pod, `;IP=${addresses.join(",")}`) })],
  ["runtimeConfig.ips", (pod) => ({ args: argsOf(pod), document: { runtimeConfig: { ips: addresses } } })],
  ["args.cni.ips", (pod) => ({ args: argsOf(pod), document: { args: { cni: { ips: addresses } } } })],
  [
    "annotations",
    (pod) => ({
      args: argsOf(pod),
      document: { runtimeConfig: { "io.kubernetes.cri.pod-annotations": annotations } },
    }),
  ],
];

describe.each(ways)("calico-ipam: asked for by %s", (_, callOf) => {
  test("both families' go to the pod's next sandbox, and the late DEL leaves them", () => {
    expect(world.add({ ...callOf("web-0"), container: "old" })).toEqual(addresses);
    expect(world.add({ ...callOf("web-0"), container: "new" })).toEqual(addresses);
    expect(world.run("DEL", { ...callOf("web-0"), container: "old" })).toEqual({});
    expect(world.add({ ...callOf("web-0"), container: "new" })).toEqual(addresses);
    expect(world.run("ADD", { ...callOf("db-0"), container: "other" })).toMatchObject({ code: 102 });
    world.run("DEL", { ...callOf("web-0"), container: "new" });
    expect(world.machine.files.list("/run/tortie/ipam/handles")).toEqual([]);
    expect(world.add({ ...callOf("db-0"), container: "other" })).toEqual(addresses);
  });

  test.each([
    ["another pod", { ...callOf("web-1"), container: "b" }],
    ["another interface of the pod", { ...callOf("web-0"), container: "b", ifname: "net1" }],
    [
      "the pod on another network",
      { ...callOf("web-0"), container: "b", document: { ...callOf("web-0").document, name: "net2" } },
    ],
    [
      "the pod of that name in another namespace",
      (() => {
        const call = callOf("web-0");
        return { ...call, container: "b", args: call.args?.replace("=default", "=other") ?? "" };
      })(),
    ],
  ])("they are refused to %s, by name", (what, call: Call) => {
    // Annotations apply to the first interface only.
    if (what.includes("interface") && JSON.stringify(call).includes("annotations")) return;
    world.add({ ...callOf("web-0"), container: "a" });
    expect(world.run("ADD", call)).toMatchObject({
      code: 102,
      msg: 'cannot assign address 10.65.0.50: Address already assigned in block 10.65.0.0/26, to handle "net1.a" (pod default/web-0)',
    });
    expect(world.add({ ...callOf("web-0"), container: "a" })).toEqual(addresses);
  });
});

test("calico-ipam ADD of a container without a pod takes nothing over", () => {
  world.add({ container: "a", args: "IP=10.65.0.50" });
  expect(world.run("ADD", { container: "b", args: "IP=10.65.0.50" })).toMatchObject({ code: 102 });
});

test("calico-ipam ADD of a pod's next sandbox takes over an automatically assigned address that it requests", () => {
  const [address] = world.add({ container: "old", args: argsOf("web-0") });
  expect(world.add({ container: "new", args: argsOf("web-0", `;IP=${address}`) })).toEqual([address]);
});

test.each([
  ["old", "new"],
  ["new", "old"],
])(
  "calico-ipam: a block that is damaged afterwards is rebuilt as the taker's, with the records of %s and %s",
  (...order) => {
    const sys = new FakeSys({ machine: world.machine });
    const call = (container: string): Call => ({ container, args: argsOf("web-0", ";IP=10.65.0.50") });
    world.add(call("old"));
    world.add(call("new"));
    for (const containerId of order) {
      writeEndpoint(sys, {
        attachment: { network: "net1", containerId, ifname: "eth0" },
        node: "node-1",
        pod: { namespace: "default", name: "web-0" },
        hostInterface: "cali1",
        mac: "02:00:00:00:00:01",
        addresses: ["10.65.0.50/32"],
        netns: "/var/run/netns/pod",
      });
    }
    world.machine.files.replace("/run/tortie/ipam/blocks/10-65-0-0-26.json", "", 0o600);
    world.run("DEL", { ...call("old") });
    expect(world.run("ADD", { container: "other", args: argsOf("db-0", ";IP=10.65.0.50") })).toMatchObject({
      code: 102,
      msg: expect.stringContaining('to handle "net1.new"'),
    });
  },
);
