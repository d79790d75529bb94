/** ADD logs the processes of the node that listen on a port that now belongs to the pod. */
import { beforeEach, describe, expect, test } from "vitest";
import type { FakeListener } from "../../lib/fake/diag.ts";
import { FakeNft } from "../../lib/fake/nft.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";
import { c1, dns, loggerTo, type Port, portmapOn, resultOf, web } from "./world.ts";

const dual = resultOf("10.0.0.5/32", "fd00::5/128");
const sctp: Port = { hostPort: 3868, containerPort: 3868, protocol: "sctp" };

let machine: FakeMachine;

beforeEach(() => {
  machine = new FakeMachine();
  const nft = new FakeNft();
  machine.netfilter = () => nft;
  machine.kernel.host.addLink({ name: "cali1", kind: "veth", mac: "ee:ee:ee:ee:ee:ee", mtu: 1500 });
});

function warnings(
  ports: readonly Port[],
  listeners: readonly Partial<FakeListener>[],
  result = dual,
): readonly unknown[] {
  machine.diag.listeners = listeners.map((one) => ({
    protocol: "tcp",
    address: "0.0.0.0",
    port: 8080,
    inode: 77,
    ...one,
  }));
  const said: unknown[] = [];
  portmapOn(new FakeSys({ machine }), loggerTo(said)).add(c1, ports, result);
  return said;
}

const message = "a host port takes packets from a process of the node";

describe("portmap: a host port", () => {
  test.each<[string, Port, Partial<FakeListener>, string]>([
    ["of all addresses", web, {}, "0.0.0.0:8080/tcp"],
    ["of one of them", web, { address: "192.0.2.7" }, "192.0.2.7:8080/tcp"],
    ["of 127.0.0.1", web, { address: "127.0.0.1" }, "127.0.0.1:8080/tcp"],
    ["of both families", web, { address: "::" }, "[::]:8080/tcp"],
    ["of IPv6 alone", web, { address: "2001:db8::7", only: true }, "[2001:db8::7]:8080/tcp"],
    ["of UDP", dns, { protocol: "udp", port: 5353 }, "0.0.0.0:5353/udp"],
    ["at its one address", { ...web, hostIP: "192.0.2.7" }, { address: "192.0.2.7" }, "192.0.2.7:8080/tcp"],
    ["at its one address, of all", { ...web, hostIP: "192.0.2.7" }, { address: "::" }, "[::]:8080/tcp"],
  ])("that a process listens on: %s", (_, port, listener, listens) => {
    expect(warnings([port], [listener])).toEqual([{ message, listens, process: "unknown" }]);
  });

  test.each<[string, Port, Partial<FakeListener>]>([
    ["another port", web, { port: 8081 }],
    ["another protocol", web, { protocol: "udp" }],
    ["another address", { ...web, hostIP: "192.0.2.7" }, { address: "192.0.2.8" }],
    ["IPv6 alone, where the port is IPv4's", { ...web, hostIP: "192.0.2.7" }, { address: "::", only: true }],
    ["::1, which is never mapped", web, { address: "::1" }],
  ])("says nothing of %s", (_, port, listener) => {
    expect(warnings([port], [listener])).toEqual([]);
  });

  test("says nothing of a family in which it leads nowhere", () => {
    expect(warnings([web], [{ address: "::", only: true }], resultOf("10.0.0.5/32"))).toEqual([]);
  });

  test("of ::1 is said to lead nowhere", () => {
    expect(warnings([{ ...web, hostIP: "::1" }], [])).toEqual([
      { message: "a host port has no effect: the kernel does not forward packets to ::1", port: "[::1]:8080/tcp" },
    ]);
  });
});

test("portmap names the process that listens on a host port, except one that reserves it for the container", () => {
  for (const [pid, name] of [
    ["41", "conmon"],
    ["42", "sshd"],
  ]) {
    machine.files.makeDirs(`/proc/${pid}/fd`, 0o755);
    machine.files.create(`/proc/${pid}/comm`, `${name}\n`, 0o644);
    machine.files.create(`/proc/${pid}/fd/3`, "", 0o600);
  }
  // The model's files are not sockets.
  const { stat } = machine.files;
  machine.files.stat = (path) => {
    const found = stat.call(machine.files, path);
    return found && path.includes("/fd/") ? { ...found, kind: "other", inode: Number(path.split("/")[2]) } : found;
  };
  expect(warnings([web], [{ inode: 41 }, { inode: 42 }])).toEqual([
    { message, listens: "0.0.0.0:8080/tcp", process: "sshd (pid 42)" },
  ]);
});

test("portmap looks for listeners once per family and protocol if there are many ports, and for SCTP only if the kernel has it", () => {
  const many = Array.from({ length: 100 }, (_, index) => ({ ...web, hostPort: 1000 + index }));
  expect(warnings([...many, sctp], [{ port: 1042 }, { port: 22 }])).toHaveLength(1);
  expect(machine.diag.dumps).toBe(2);
  machine.files.makeDirs("/proc/net/sctp", 0o755);
  expect(warnings([sctp], [{ protocol: "sctp", port: 3868 }])).toHaveLength(1);
});

test("portmap succeeds if the kernel cannot report listeners", () => {
  const sys = new FakeSys({ machine });
  const open = sys.openNetlink.bind(sys);
  sys.openNetlink = (protocol, netns) => {
    if (protocol === "sock_diag") throw Object.assign(new Error("socket: no"), { code: "EPROTONOSUPPORT" });
    return open(protocol, netns);
  };
  expect(portmapOn(sys).add(c1, [web], dual)).toBe(dual);
});
