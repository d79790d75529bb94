/**
 * The bytes of requests for tunnels, and the kernel's answers. Where a command of iproute2 6.1 is named they are its bytes (captured with strace),
 * except for the order of attributes and NLA_F_NESTED.
 */
import { expect, test } from "vitest";
import { portOf, readEvent } from "../../../src/netlink/events.ts";
import { addForwarding, deleteForwarding, dumpForwarding, readForwarding } from "../../../src/netlink/forwarding.ts";
import { decodeDatagram, encodeDatagram, type Request } from "../../../src/netlink/message.ts";
import { dumpNeighbours } from "../../../src/netlink/neighbour.ts";
import { addRoute, deleteRoute, dumpRoutesOf, type RouteEntry, readAnyRoute } from "../../../src/netlink/route.ts";
import { createIpip, createVxlan, readVxlan } from "../../../src/netlink/tunnel.ts";
import { hex, unhex } from "./hex.ts";

const route: RouteEntry = {
  destination: "192.168.2.0/26",
  index: 2,
  gateway: "192.168.2.62",
  scope: 0,
  table: 254,
  source: undefined,
  priority: undefined,
  mtu: 1410,
  advmss: undefined,
  onlink: true,
};
const vxlan = { name: "vx0", mac: "66:00:00:00:00:01", mtu: 1410 };

test.each<[string, Request, string]>([
  [
    "ip link add vx0 address … mtu 1410 type vxlan id 4096 local 172.31.250.1 dev #3 dstport 4789 nolearning",
    createVxlan(vxlan, { vni: 4096, port: 4789, local: "172.31.250.1", deviceIndex: 3 }),
    `16 605 0000 0000 00000000 00000000 00000000
     0800 0300 76783000   0a00 0100 660000000001 0000   0800 0400 82050000   3c00 1280   0a00 0100 76786c616e00 0000
     2c00 0280   0800 0100 00100000   0800 0300 03000000   0800 0400 ac1ffa01   0500 0700 00000000   0600 0f00 12b5 0000`,
  ],
  [
    "the same over IPv6",
    createVxlan(vxlan, { vni: 4096, port: 4789, local: "fd00::1", deviceIndex: undefined }),
    `16 605 0000 0000 00000000 00000000 00000000
     0800 0300 76783000   0a00 0100 660000000001 0000   0800 0400 82050000   4000 1280   0a00 0100 76786c616e00 0000
     3000 0280   0800 0100 00100000   1400 1100 fd000000000000000000000000000001   0500 0700 00000000   0600 0f00 12b5 0000`,
  ],
  [
    "ip link add tunl0 mtu 1440 type ipip",
    createIpip("tunl0", 1440),
    `16 605 0000 0000 00000000 00000000 00000000
     0a00 0300 74756e6c3000 0000   0800 0400 a0050000   1000 1280   0900 0100 6970697000 000000`,
  ],
  [
    "bridge fdb add 66:00:00:00:00:02 dev #4 dst 172.31.250.2 self permanent",
    addForwarding(4, "66:00:00:00:00:02", "172.31.250.2", false),
    "28 605 07 00 0000 04000000 c000 02 00   0a00 0200 660000000002 0000   0800 0100 ac1ffa02",
  ],
  [
    "bridge fdb replace 66:00:00:00:00:02 dev #4 dst 172.31.250.3 self permanent",
    addForwarding(4, "66:00:00:00:00:02", "172.31.250.3", true),
    "28 505 07 00 0000 04000000 c000 02 00   0a00 0200 660000000002 0000   0800 0100 ac1ffa03",
  ],
  [
    "bridge fdb del 66:00:00:00:00:02 dev #4 dst 172.31.250.3 self permanent",
    deleteForwarding(4, "66:00:00:00:00:02", "172.31.250.3"),
    "29 5 07 00 0000 04000000 c000 02 00   0a00 0200 660000000002 0000   0800 0100 ac1ffa03",
  ],
  ["the FDB of one link", dumpForwarding(4), "30 301 07 00 0000 00000000 0000 00 00   0800 0800 04000000"],
  ["the neighbours of one link", dumpNeighbours(4, 4), "30 301 02 00 0000 00000000 0000 00 00   0800 0800 04000000"],
  [
    "ip route add 192.168.2.0/26 via 192.168.2.62 dev #2 onlink mtu 1410",
    addRoute(route, false),
    `24 605 02 1a 00 00 fe 03 00 01 04000000   0800 0100 c0a80200   0800 0500 c0a8023e   0800 0400 02000000
     0c00 0880   0800 0200 82050000`,
  ],
  [
    "ip route add 192.168.2.0/26 via 172.31.250.7 dev #2 proto 80 onlink",
    addRoute({ ...route, gateway: "172.31.250.7", protocol: 80, mtu: undefined }, false),
    "24 605 02 1a 00 00 fe 50 00 01 04000000   0800 0100 c0a80200   0800 0500 ac1ffa07   0800 0400 02000000",
  ],
  [
    "ip route del blackhole 192.168.2.0/26 proto 80",
    deleteRoute({
      ...route,
      type: 6,
      protocol: 80,
      index: undefined,
      gateway: undefined,
      mtu: undefined,
      onlink: false,
    }),
    "25 5 02 1a 00 00 fe 50 00 06 00000000   0800 0100 c0a80200",
  ],
  ["the routes of protocol 80 in table main", dumpRoutesOf(4, 80, 254), "26 301 02 00 00 00 fe 50 00 00 00000000"],
])("%s", (_, { type, flags, payload }, wanted) => {
  const [wantedType, wantedFlags, ...bytes] = wanted.trim().split(/\s+/);
  expect([type, (flags | 1).toString(16), hex(payload)]).toEqual([Number(wantedType), wantedFlags, bytes.join("")]);
});

/** A request as the kernel would send it as a notification or an answer. */
function asReply({ type, payload }: Request) {
  const [reply] = decodeDatagram(encodeDatagram([{ type, flags: 0, payload }], 7));
  if (reply === undefined) throw new Error("no message");
  return reply;
}

test("what is written is read back", () => {
  const made = { vni: 4096, port: 4789, local: "172.31.250.1", deviceIndex: 3 };
  expect(readVxlan(asReply(createVxlan(vxlan, made)))).toEqual({ ...made, isExtended: false });
  expect(readVxlan(asReply(createVxlan(vxlan, { ...made, local: "fd00::1" })))).toMatchObject({ local: "fd00::1" });
  expect(readVxlan(asReply(createIpip("tunl0", 1440)))).toBeUndefined();
  const [read] = readAnyRoute(asReply(addRoute({ ...route, protocol: 80 }, false)));
  expect(read).toMatchObject({ ...route, protocol: 80, type: 1 });
  const entry = addForwarding(4, "66:00:00:00:00:02", "172.31.250.2", false);
  expect(readForwarding(asReply(entry))).toEqual({
    index: 4,
    mac: "66:00:00:00:00:02",
    destination: "172.31.250.2",
    permanent: true,
  });
});

test("a device that learns, or has a group, is not one of ours", () => {
  const { payload, ...request } = createVxlan(vxlan, { vni: 1, port: 4789, local: "10.0.0.1", deviceIndex: 3 });
  const learning = hex(payload).replace("0500070000000000", "0500070001000000");
  expect(readVxlan(asReply({ ...request, payload: unhex(learning) }))).toMatchObject({ isExtended: true });
});

test("a notification names what it is about, and whose request caused it", () => {
  const entry = addForwarding(4, "66:00:00:00:00:02", "172.31.250.2", false);
  const datagram = encodeDatagram([{ ...entry, flags: 0 }], 7);
  new DataView(datagram.buffer).setUint32(12, 4242, true);
  const [reply] = decodeDatagram(datagram);
  expect(reply && portOf(reply)).toBe(4242);
  expect(reply && readEvent(reply)).toMatchObject({ what: "forwarding", gone: false, entry: { index: 4 } });
  expect(readEvent(asReply(deleteForwarding(4, "66:00:00:00:00:02")))).toMatchObject({ gone: true });
  expect(readEvent(asReply(addRoute(route, false)))).toMatchObject({ what: "route", gone: false });
  expect(readEvent({ ...asReply(entry), type: 99 })).toBeUndefined();
});
