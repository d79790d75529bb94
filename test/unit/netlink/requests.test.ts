/**
 * The bytes of each request. Where a command of iproute2 6.1 is named they are its bytes (captured with strace), except for the order of
 * attributes, NLA_F_NESTED, the filter's handle and the rate table of old kernels.
 */
import { expect, test } from "vitest";
import { addAddress, deleteAddress, IFA_F_NODAD, IFA_F_NOPREFIXROUTE } from "../../../src/netlink/address.ts";
import { addRedirect, deleteRedirect } from "../../../src/netlink/filter.ts";
import { deleteLink, deleteLinkGroup, getLink, setLink } from "../../../src/netlink/link.ts";
import type { Request } from "../../../src/netlink/message.ts";
import { addNeighbour } from "../../../src/netlink/neighbour.ts";
import { createLink } from "../../../src/netlink/new-link.ts";
import { addIngress, addTokenBucket, deleteQdisc } from "../../../src/netlink/qdisc.ts";
import {
  addBlackhole,
  addRoute,
  deleteBlackhole,
  dumpBlackholes,
  dumpRoutes,
  type RouteEntry,
} from "../../../src/netlink/route.ts";
import { addRule, deleteRule } from "../../../src/netlink/rule.ts";
import { hex } from "./hex.ts";

const route: RouteEntry = {
  destination: "10.0.0.5/32",
  index: 2,
  gateway: undefined,
  scope: 253,
  table: 254,
  source: undefined,
  priority: undefined,
  mtu: undefined,
  advmss: undefined,
};
const bucket = { rateBytes: 125_000, burstBytes: 125_000, limitBytes: 128_125, bufferTicks: 15_625_000 };

test.each<[string, Request, string]>([
  [
    "a veth pair with its peer in another namespace",
    createLink("veth", {
      end: { name: "cali1", mac: "ee:ee:ee:ee:ee:ee" },
      peer: { name: "eth0" },
      peerNetnsFd: 7,
      mtu: 1440,
      queues: 2,
    }),
    `16 605 0000 0000 00000000 00000000 00000000
     0a00 0300 63616c693100 0000   0a00 0100 eeeeeeeeeeee 0000   0800 0400 a0050000   0800 1f00 02000000   0800 2000 02000000
     5400 1280   0900 0100 7665746800 000000   4400 0280   4000 0180
       0000 0000 00000000 00000000 00000000
       0900 0300 6574683000 000000   0800 0400 a0050000   0800 1f00 02000000   0800 2000 02000000   0800 1c00 07000000`,
  ],
  [
    "an ifb",
    createLink("ifb", { name: "bwp1", txQueueLength: 0 }),
    `16 605 0000 0000 00000000 00000000 00000000
     0900 0300 6277703100 000000   0800 0d00 00000000   0c00 1280   0800 0100 69666200`,
  ],
  [
    "ip link set dev cali1 alias tortie:x",
    setLink(2, { alias: "tortie:x" }),
    "19 5 0000 0000 02000000 00000000 00000000   0d00 1400 746f727469653a7800 000000",
  ],
  ["ip -4 route list table all dev cali1", dumpRoutes(4, 2), "26 301 0200 0000 00000000 00000000   0800 0400 02000000"],
  ["ip link set dev cali1 up", setLink(2, { up: true }), "19 5 0000 0000 02000000 01000000 01000000"],
  [
    "ip link set dev lo down, by name",
    setLink("lo", { up: false }),
    "19 5 0000 0000 00000000 00000000 01000000   0700 0300 6c6f00 00",
  ],
  [
    "ip link set dev cali1 group 7",
    setLink(2, { group: 7 }),
    "19 5 0000 0000 02000000 00000000 00000000   0800 1b00 07000000",
  ],
  ["ip link delete group 7", deleteLinkGroup(7), "17 5 0000 0000 00000000 00000000 00000000   0800 1b00 07000000"],
  ["ip link delete dev cali1", deleteLink(2), "17 5 0000 0000 02000000 00000000 00000000"],
  [
    "a question by name, without counters",
    getLink("lo"),
    "18 5 0000 0000 00000000 00000000 00000000   0700 0300 6c6f00 00   0800 1d00 08000000",
  ],
  ["a question by index", getLink(7), "18 5 0000 0000 07000000 00000000 00000000   0800 1d00 08000000"],
  [
    "ip address add 10.0.0.5/32 dev cali1",
    addAddress(2, "10.0.0.5/32", 0),
    "20 605 02 20 00 00 02000000   0800 0200 0a000005   0800 0100 0a000005",
  ],
  [
    "ip address add fd00::5/128 dev cali1 nodad",
    addAddress(2, "fd00::5/128", IFA_F_NODAD),
    `20 605 0a 80 02 00 02000000   1400 0200 fd000000000000000000000000000005
     1400 0100 fd000000000000000000000000000005`,
  ],
  [
    "ip address add 10.0.0.5/24 dev eth0 noprefixroute",
    addAddress(2, "10.0.0.5/24", IFA_F_NOPREFIXROUTE),
    "20 605 02 18 00 00 02000000   0800 0200 0a000005   0800 0100 0a000005   0800 0800 00020000",
  ],
  [
    "ip address delete 10.0.0.5/32 dev cali1",
    deleteAddress(2, "10.0.0.5/32"),
    "21 5 02 20 00 00 02000000   0800 0200 0a000005   0800 0100 0a000005",
  ],
  [
    "ip neighbour add 10.0.0.5 lladdr 02:00:00:00:00:05 dev cali1 nud permanent",
    addNeighbour(2, "10.0.0.5", "02:00:00:00:00:05", false),
    "28 605 02 00 0000 02000000 8000 00 00   0800 0100 0a000005   0a00 0200 020000000005 0000",
  ],
  [
    "ip neighbour replace",
    addNeighbour(2, "10.0.0.5", "02:00:00:00:00:05", true),
    "28 505 02 00 0000 02000000 8000 00 00   0800 0100 0a000005   0a00 0200 020000000005 0000",
  ],
  [
    "ip route add 10.0.0.5/32 dev cali1 scope link",
    addRoute(route, false),
    "24 605 02 20 00 00 fe 03 fd 01 00000000   0800 0100 0a000005   0800 0400 02000000",
  ],
  [
    "ip route add default via 10.9.9.2 dev cali1 mtu 1400 advmss 1300 table 1000 metric 7 src 10.9.9.1",
    addRoute(
      {
        ...route,
        destination: "0.0.0.0/0",
        gateway: "10.9.9.2",
        scope: 0,
        mtu: 1400,
        advmss: 1300,
        table: 1000,
        priority: 7,
        source: "10.9.9.1",
      },
      false,
    ),
    `24 605 02 00 00 00 00 03 00 01 00000000   0800 0500 0a090902   0800 0400 02000000   0800 0700 0a090901
     0800 0600 07000000   0800 0f00 e8030000   1400 0880   0800 0200 78050000   0800 0800 14050000`,
  ],
  [
    "ip route replace",
    addRoute(route, true),
    "24 505 02 20 00 00 fe 03 fd 01 00000000   0800 0100 0a000005   0800 0400 02000000",
  ],
  [
    "ip rule add from 10.0.0.9/32 lookup 30398897 pref 32000",
    addRule({ family: 4, from: "10.0.0.9/32", table: 30_398_897, priority: 32_000 }),
    "32 605 02 00 20 00 00 0000 01 00000000   0800 0200 0a000009   0800 0600 007d0000   0800 0f00 b1d9cf01",
  ],
  [
    "ip -6 rule delete from fd00::5/128 lookup 300 pref 32000",
    deleteRule({ family: 6, from: "fd00::5/128", table: 300, priority: 32_000 }),
    `33 5 0a 00 80 00 00 0000 01 00000000   1400 0200 fd000000000000000000000000000005   0800 0600 007d0000
     0800 0f00 2c010000`,
  ],
  [
    "ip rule add from 10.0.0.0/16 to 10.0.0.0/16 lookup main suppress_prefixlength 0 pref 32001 proto 80",
    addRule({
      family: 4,
      from: "10.0.0.0/16",
      to: "10.0.0.0/16",
      table: 254,
      suppressPrefixLength: 0,
      priority: 32_001,
      protocol: 80,
    }),
    `32 605 02 10 10 00 00 0000 01 00000000   0800 0100 0a000000   0800 0200 0a000000   0800 0600 017d0000
     0800 0e00 00000000   0800 0f00 fe000000   0500 1500 50000000`,
  ],
  [
    "ip -6 rule delete from fd00::/64 to fd00::/64 blackhole pref 32002 proto 80",
    deleteRule({
      family: 6,
      from: "fd00::/64",
      to: "fd00::/64",
      action: "blackhole",
      priority: 32_002,
      protocol: 80,
    }),
    `33 5 0a 40 40 00 00 0000 06 00000000   1400 0100 fd000000000000000000000000000000
     1400 0200 fd000000000000000000000000000000   0800 0600 027d0000   0500 1500 50000000`,
  ],
  [
    "ip route add blackhole 10.0.0.0/26 proto 80",
    addBlackhole("10.0.0.0/26", 80),
    "24 605 02 1a 00 00 fe 50 00 06 00000000   0800 0100 0a000000",
  ],
  [
    "ip -6 route delete blackhole fd00::/122 proto 80",
    deleteBlackhole("fd00::/122", 80),
    "25 5 0a 7a 00 00 fe 50 00 06 00000000   1400 0100 fd000000000000000000000000000000",
  ],
  [
    "ip route list type blackhole proto 80, of a family",
    dumpBlackholes(4, 80),
    "26 301 02 00 00 00 fe 50 00 06 00000000",
  ],
  [
    "tc qdisc add dev cali1 handle ffff: ingress",
    addIngress(2),
    "36 605 00000000 02000000 0000ffff f1ffffff 00000000   0c00 0100 696e677265737300",
  ],
  [
    "tc qdisc add dev cali1 root handle 1: tbf rate 125000bps burst 15000 limit 18125",
    addTokenBucket(2, { ...bucket, burstBytes: 15000, limitBytes: 18125, bufferTicks: 1_875_000 }, false),
    `36 605 00000000 02000000 00000100 ffffffff 00000000   0800 0100 74626600   3400 0280
     2800 0100 00 01 0000 ffff 0000 48e80100   00000000 00000000 00000000   cd460000 389c1c00 00000000   0800 0600 983a0000`,
  ],
  [
    "a burst that no packet fills, in ticks alone as the Go plugin has it",
    addTokenBucket(2, bucket, false),
    `36 605 00000000 02000000 00000100 ffffffff 00000000   0800 0100 74626600   2c00 0280
     2800 0100 00 01 0000 ffff 0000 48e80100   00000000 00000000 00000000   7df40100 286bee00 00000000`,
  ],
  [
    "a burst whose ticks do not fit",
    addTokenBucket(2, { ...bucket, bufferTicks: 0xffffffff }, false),
    `36 605 00000000 02000000 00000100 ffffffff 00000000   0800 0100 74626600   3400 0280
     2800 0100 00 01 0000 ffff 0000 48e80100   00000000 00000000 00000000   7df40100 ffffffff 00000000   0800 0600 48e80100`,
  ],
  [
    "a rate above 2^32",
    addTokenBucket(2, { ...bucket, rateBytes: 6e9, bufferTicks: 325 }, true),
    `36 505 00000000 02000000 00000100 ffffffff 00000000   0800 0100 74626600   4000 0280
     2800 0100 00 01 0000 ffff 0000 ffffffff   00000000 00000000 00000000   7df40100 45010000 00000000   0800 0600 48e80100
     0c00 0400 00bca06501000000`,
  ],
  ["tc qdisc delete dev cali1 root", deleteQdisc(2, "tbf"), "37 5 00000000 02000000 00000100 ffffffff 00000000"],
  [
    "tc filter add dev cali1 parent ffff: … u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev bwp1",
    addRedirect(2, 3, false),
    `44 605 00000000 02000000 00080080 0000ffff 00030100   0800 0100 75333200   6800 0280
     0800 0100 01000100   2400 0500 01 00 01 00 0000 0000 0000 0000 00000000   00000000 00000000 00000000 00000000
     3800 0780   3400 0180   0b00 0100 6d697272656400 00   2400 0280
     2000 0200 00000000 00000000 04000000 00000000 00000000 01000000 03000000`,
  ],
  ["tc filter delete", deleteRedirect(2), "45 5 00000000 02000000 00080080 0000ffff 00030100   0800 0100 75333200"],
])("%s", (_, { type, flags, payload }, bytes) => {
  const [wantedType, wantedFlags, ...rest] = bytes.split(/\s+/);
  // `encodeDatagram` adds NLM_F_REQUEST.
  expect([`${type}`, (flags | 1).toString(16)]).toEqual([wantedType, wantedFlags]);
  expect(hex(payload)).toBe(rest.join(""));
});
