import { describe, expect, test } from "vitest";
import type { Plan, Resource, VethPair } from "../../../src/plan/resource.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";
import { applied, differences, endpointPlan, inScene, newSetup, refusalOf, type Setup } from "./scene.ts";

describe("apply()", () => {
  test("makes the kernel hold the plan, whatever the order of its resources", () => {
    const setup = newSetup();
    applied(setup, endpointPlan());
    expect(setup.machine.kernel.print()).toBe(
      `
# host
link bwp5 ifb up mtu 1440 mac random qlen 0 alias "tortie:net/c5/eth0"
link cali5 veth up mtu 1440 mac ee:ee:ee:ee:ee:ee peer eth0 of pod alias "tortie:net/c5/eth0"
  address fe80::ecee:eeff:feee:eeee/64
  qdisc tbf rate 125000 burst 125000 limit 128125
  qdisc ingress
  redirect to bwp5
route 10.0.0.5/32 dev cali5 scope link
route fd00::5/128 dev cali5 metric 1024
route fe80::/64 dev cali5 metric 256 proto kernel
sysctl net/ipv4/conf/cali5/proxy_arp = 1

# pod
link eth0 veth up mtu 1440 mac 02:00:00:00:00:05 peer cali5 of host
  address 10.0.0.5/32
  address fd00::5/128
  address fe80::ff:fe00:5/64
neighbour 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev eth0
route 0.0.0.0/0 via 169.254.1.1 dev eth0 mtu 1400
route 169.254.1.1/32 dev eth0 scope link
route ::/0 via fe80::ecee:eeff:feee:eeee dev eth0 metric 1024
route fd00::5/128 dev eth0 metric 256 proto kernel
route fe80::/64 dev eth0 metric 256 proto kernel
sysctl net/ipv6/conf/eth0/accept_dad = 0
`.trim(),
    );
  });

  test("reports the links as the kernel has them", () => {
    const { links } = applied(newSetup(), endpointPlan());
    expect(Object.fromEntries([...links].map(([at, { index, mac, mtu }]) => [at, { index, mac, mtu }]))).toEqual({
      "host:cali5": { index: 3, mac: "ee:ee:ee:ee:ee:ee", mtu: 1440 },
      "host:bwp5": { index: 2, mac: "02:00:00:00:00:01", mtu: 1440 },
      "sandbox:eth0": { index: 2, mac: "02:00:00:00:00:05", mtu: 1440 },
    });
  });

  test("takes four sends, two sockets and one visit to the sandbox beside the sysctls", () => {
    const setup = newSetup();
    const before = setup.sys.steps;
    applied(setup, endpointPlan());
    const sysctls = 3;
    expect(setup.sys.steps - before).toBe(4 + 2 + 1 + sysctls);
  });

  test("is harmless when repeated", () => {
    const setup = newSetup();
    applied(setup, endpointPlan());
    const before = setup.machine.kernel.print();
    const again = applied(setup, endpointPlan());
    expect(setup.machine.kernel.print()).toBe(before);
    expect(again.links.get("sandbox:eth0")?.mac).toBe("02:00:00:00:00:05");
  });

  test("undo() of a repeated call takes back nothing", () => {
    const setup = newSetup();
    applied(setup, endpointPlan());
    const before = setup.machine.kernel.print();
    applied(setup, endpointPlan()).undo();
    expect(setup.machine.kernel.print()).toBe(before);
  });

  test("undo() takes back what the call created", () => {
    const setup = newSetup();
    const before = setup.machine.kernel.print();
    applied(setup, endpointPlan()).undo();
    expect(setup.machine.kernel.print()).toBe(before);
  });

  test("undo() takes back what was put on a link of another's, and leaves the link", () => {
    const setup = newSetup();
    applied(setup, endpointPlan());
    const before = setup.machine.kernel.print();
    const more: Plan = {
      owner: "tortie:other/c5/eth0",
      resources: [
        { kind: "route", at: "host", link: "cali5", destination: "10.1.0.0/24" },
        { kind: "address", at: "sandbox", link: "eth0", address: "10.9.0.5/24" },
        { kind: "neighbour", at: "host", link: "cali5", address: "10.0.0.5", mac: "02:00:00:00:00:05" },
      ],
    };
    const undo = applied(setup, more);
    expect(differences(setup, more)).toEqual([]);
    undo.undo();
    expect(setup.machine.kernel.print()).toBe(before);
  });

  test.each<[string, (setup: Setup) => void]>([
    ["a changed rate", ({ machine }) => Object.assign(cali(machine).tokenBucket ?? {}, { rateBytes: 9 })],
    ["a changed MTU", ({ machine }) => Object.assign(cali(machine), { mtu: 1500 })],
    ["a changed MAC address", ({ machine }) => Object.assign(cali(machine), { mac: "02:00:00:00:00:99" })],
    ["a lost route", ({ machine }) => machine.kernel.host.routes.splice(0)],
    ["a redirect elsewhere", ({ machine }) => Object.assign(cali(machine), { redirect: 1 })],
  ])("when repeated repairs %s", (_, damage) => {
    const setup = newSetup();
    applied(setup, endpointPlan());
    damage(setup);
    expect(differences(setup, endpointPlan())).not.toEqual([]);
    applied(setup, endpointPlan());
    expect(differences(setup, endpointPlan())).toEqual([]);
  });

  test("asks again when a table changed while it was listed", () => {
    const setup = newSetup();
    applied(setup, endpointPlan());
    setup.machine.kernel.interruptedDumps = 5;
    applied(setup, endpointPlan());
    expect(setup.machine.kernel.interruptedDumps).toBe(0);
  });

  test("gives up a table that never holds still", () => {
    const setup = newSetup();
    applied(setup, endpointPlan());
    setup.machine.kernel.interruptedDumps = Number.POSITIVE_INFINITY;
    expect(refusalOf(() => applied(setup, endpointPlan())).message).toMatch(
      /the table changed during each of 16 attempts/,
    );
  });

  test("goes on where a sysctl is optional and missing", () => {
    const setup = newSetup();
    applied(setup, plan([{ kind: "sysctl", at: "host", path: "net/ipv4/none", value: "1", optional: true }]));
  });
});

describe("apply() on a name that is taken", () => {
  const names = `veth "cali5" on the host with "eth0" in the sandbox`;

  test("refuses a foreign link in the sandbox and leaves it alone", () => {
    const setup = newSetup();
    sandboxOf(setup).addLink({ name: "eth0", kind: "device", mac: "02:00:00:00:00:77", mtu: 1500 });
    const before = setup.machine.kernel.print();
    expect(refusalOf(() => applied(setup, endpointPlan()))).toEqual({
      kind: "conflict",
      message: `cannot create ${names}: a link of the name "eth0" exists, and Tortie does not own it`,
    });
    expect(setup.machine.kernel.print()).toBe(before);
  });

  test("refuses another attachment's host link and names its owner", () => {
    const { machine } = newSetup();
    applied(newSetup(machine, "other"), endpointPlan(5, "tortie:net/other/eth0"));
    const setup = newSetup(machine, "mine");
    const before = machine.kernel.print();
    expect(refusalOf(() => applied(setup, plan([veth])))).toEqual({
      kind: "conflict",
      message: `cannot create ${names}: link "cali5" exists and belongs to "tortie:net/other/eth0"`,
    });
    expect(machine.kernel.print()).toBe(before);
  });

  test("refuses a host link without an owner, and does not put its own on it", () => {
    const setup = newSetup();
    setup.machine.kernel.host.addLink({ name: "cali5", kind: "device", mac: "02:00:00:00:00:77", mtu: 1500 });
    expect(refusalOf(() => applied(setup, endpointPlan())).message).toMatch(/exists and has no known owner$/);
    expect(cali(setup.machine).alias).toBeUndefined();
  });

  test("replaces the link of an earlier sandbox of the same pod", () => {
    const { machine } = newSetup();
    applied(newSetup(machine, "old"), endpointPlan(5, "tortie:net/old/eth0"));
    const setup = newSetup(machine, "new");
    const plan = endpointPlan();
    inScene(setup.scene, (executor) =>
      executor.apply(plan, { mayReplace: (alias) => alias === "tortie:net/old/eth0" }),
    );
    expect(differences(setup, plan)).toEqual([]);
  });

  test("replaces its own link that leads into another sandbox", () => {
    const { machine } = newSetup();
    const plan = {
      owner: "tortie:net/c5/eth0",
      resources: endpointPlan().resources.filter(({ kind }) => kind === "veth"),
    };
    applied(newSetup(machine, "old"), plan);
    const setup = newSetup(machine, "new");
    applied(setup, plan);
    expect(differences(setup, plan)).toEqual([]);
  });

  test("replaces a link whose peer's namespace is being dismantled", () => {
    const { machine } = newSetup();
    const old = newSetup(machine, "old");
    applied(old, endpointPlan(5, "tortie:net/other/eth0"));
    sandboxOf(old).dying = true;
    machine.kernel.host.deleteLink(machine.kernel.host.find("bwp5") as never);
    const setup = newSetup(machine, "new");
    applied(setup, endpointPlan());
    expect(differences(setup, endpointPlan())).toEqual([]);
  });

  test("replaces a route of a link that the kernel is removing: it forgets the link first, and then its IPv6 routes", () => {
    const setup = newSetup();
    const { host } = setup.machine.kernel;
    const gone = host.addLink({ name: "cali4", kind: "veth", mac: "ee:ee:ee:ee:ee:ee", mtu: 1500 });
    gone.up = true;
    applied(setup, plan([{ kind: "route", at: "host", link: "cali4", destination: "fd00::5/128" }]));
    const left = host.routes.filter(({ index }) => index === gone.index);
    host.deleteLink(gone);
    host.routes.push(...left);
    applied(setup, endpointPlan());
    expect(differences(setup, endpointPlan())).toEqual([]);
    expect(host.routes.filter(({ index }) => index === gone.index)).toEqual([]);
  });

  test("refuses a route to the same place over another's link", () => {
    const setup = newSetup();
    const { machine } = setup;
    machine.kernel.host.addLink({ name: "ens1", kind: "device", mac: "02:00:00:00:00:77", mtu: 1500 }).up = true;
    applied(setup, plan([{ kind: "route", at: "host", link: "ens1", destination: "10.0.0.5/32" }]));
    const before = machine.kernel.print();
    expect(refusalOf(() => applied(setup, endpointPlan()))).toEqual({
      kind: "conflict",
      message:
        "cannot add route 10.0.0.5/32 dev cali5 scope link on the host: conflicts with an existing object that Tortie does not own: " +
        "route 10.0.0.5/32 dev cali5 scope link is missing (found 10.0.0.5/32 dev ens1 scope link)",
    });
    expect(machine.kernel.print()).toBe(before);
  });
});

describe("apply() names the resource that the kernel refuses", () => {
  test.each<[string, readonly Resource[], string]>([
    [
      "a route over a link that is not there",
      [{ kind: "route", at: "sandbox", link: "eth9", destination: "0.0.0.0/0", gateway: "169.254.1.1" }],
      'cannot find link "eth9" in the sandbox: there is no link with this name',
    ],
    [
      "a route over a link that is down",
      [veth, { kind: "route", at: "host", link: "cali5", destination: "10.0.0.5/32" }],
      "cannot add route 10.0.0.5/32 dev cali5 scope link on the host: Network is down (ENETDOWN): Device for nexthop is not up",
    ],
    [
      "a gateway that is not on the link",
      [
        veth,
        { kind: "up", at: "sandbox", link: "eth0" },
        { kind: "route", at: "sandbox", link: "eth0", destination: "0.0.0.0/0", gateway: "169.254.1.1" },
      ],
      "cannot add route 0.0.0.0/0 via 169.254.1.1 dev eth0 in the sandbox: Network is unreachable (ENETUNREACH): Nexthop has invalid gateway",
    ],
    [
      "an MTU below the least",
      [{ ...veth, mtu: 60 }],
      'cannot create veth "cali5" on the host with "eth0" in the sandbox: Invalid argument (EINVAL): mtu less than device minimum',
    ],
    [
      "a sysctl that is not there",
      [{ kind: "sysctl", at: "sandbox", path: "net/ipv4/none", value: "1" }],
      'cannot set sysctl net/ipv4/none to "1" in the sandbox: open /proc/sys/net/ipv4/none: No such file or directory',
    ],
  ])("%s", (_, resources, message) => {
    const setup = newSetup();
    const before = setup.machine.kernel.print();
    expect(refusalOf(() => applied(setup, plan(resources)))).toEqual({ kind: "refused", message });
    expect(setup.machine.kernel.print()).toBe(before);
  });

  test("that the kernel has no IPv6", () => {
    const setup = newSetup(new FakeMachine({ ipv6: false }));
    const { message } = refusalOf(() => applied(setup, endpointPlan()));
    expect(message).toMatch(
      /^cannot set sysctl net\/ipv6\/conf\/eth0\/accept_dad to "0" in the sandbox: the kernel has no IPv6/,
    );
  });

  test("that the sandbox is gone", () => {
    const sys = new FakeSys();
    expect(refusalOf(() => applied({ scene: { sys } }, endpointPlan())).message).toMatch(
      /the sandbox: its network namespace does not exist$/,
    );
  });
});

describe("apply() and udev", () => {
  test("sets the MAC address again until it holds", () => {
    const setup = newSetup();
    meddle(setup, 3);
    applied(setup, endpointPlan());
    expect(cali(setup.machine).mac).toBe("ee:ee:ee:ee:ee:ee");
  });

  test("gives up after five seconds and takes everything back", () => {
    const setup = newSetup();
    const before = setup.machine.kernel.print();
    meddle(setup, Number.POSITIVE_INFINITY);
    const start = setup.sys.monotonicMs();
    expect(refusalOf(() => applied(setup, endpointPlan())).message).toBe(
      'cannot set mac ee:ee:ee:ee:ee:ee on link "cali5" on the host: another program resets it to 02:00:00:00:00:99 (udev\'s MACAddressPolicy?)',
    );
    expect(setup.sys.monotonicMs() - start).toBeLessThan(5_200);
    expect(setup.machine.kernel.print()).toBe(before);
  });
});

const veth: VethPair = { kind: "veth", host: { name: "cali5" }, sandbox: { name: "eth0" } };

function plan(resources: readonly Resource[]): Plan {
  return { owner: "tortie:net/c5/eth0", resources };
}

function cali(machine: FakeMachine) {
  const link = machine.kernel.host.find("cali5");
  if (link === undefined) throw new Error("no cali5");
  return link;
}

function sandboxOf({ machine, scene }: Setup) {
  const netns = machine.kernel.descriptors.get(scene.sandbox?.fd ?? -1);
  if (netns === undefined) throw new Error("no sandbox");
  return netns;
}

/** Another program sets the address of the host interface before each of the next `times` answers. */
function meddle({ sys, machine }: Setup, times: number): void {
  const { openNetlink } = sys;
  let left = times;
  sys.openNetlink = (protocol, netns) => {
    const socket = openNetlink.call(sys, protocol, netns);
    const send = (datagram: Uint8Array) => {
      const link = machine.kernel.host.find("cali5");
      if (link && left-- > 0) link.mac = "02:00:00:00:00:99";
      socket.send(datagram);
    };
    return { ...socket, send };
  };
}
