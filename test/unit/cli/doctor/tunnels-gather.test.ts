import { expect, test } from "vitest";
import type { Cli } from "../../../../src/cli/cli.ts";
import { noTunnels } from "../../../../src/cli/doctor/tunnels/facts.ts";
import { gatherTunnels } from "../../../../src/cli/doctor/tunnels/gather.ts";

const link = (ifname: string, mtu: number, info?: object) => ({ ifname, mtu, flags: ["UP"], linkinfo: info });
const vxlan = link("vxlan.calico", 1450, {
  info_kind: "vxlan",
  info_data: { id: 4096, local: "10.1.0.1", link: "eth0", port: 4789 },
});
const allLinks = [link("lo", 65536), link("eth0", 1500), vxlan, link("cali1", 1450), {}];

/** A node of which these programs print what is given, and all others are missing. */
function cliOf(outputs: Readonly<Record<string, string>>, files: Readonly<Record<string, string>> = {}): Cli {
  const print = (argv: readonly string[]) => outputs[argv.join(" ")];
  return {
    program: async (argv: readonly string[]) => {
      const text = print(argv);
      if (text === undefined) throw new Error(`cannot run ${argv[0]}`);
      return text;
    },
    execute: async (argv: readonly string[]) => {
      const stdout = print(argv);
      if (stdout === undefined) throw new Error(`cannot run ${argv[0]}`);
      return { status: 0, stdout, stderr: "" };
    },
    sys: { readFile: (path: string) => files[path] ?? "0" },
  } as unknown as Cli;
}

const base = {
  "ip -j -d link show": JSON.stringify(allLinks),
  "bridge -j fdb show dev vxlan.calico": '[{"mac":"66:00:00:00:00:01","dst":"10.1.0.2","flags":["self"]}]',
  "ip -j route get 10.1.0.2 from 10.1.0.1": '[{"dst":"10.1.0.2","dev":"eth0"}]',
};
const quiet = { services: [], probe: false };

test("a node without tunnels, or without ip, has nothing to look at", async () => {
  expect(await gatherTunnels(cliOf({ "ip -j -d link show": JSON.stringify(allLinks.slice(0, 2)) }), quiet)).toEqual(
    noTunnels,
  );
  expect(await gatherTunnels(cliOf({}), quiet)).toEqual(noTunnels);
});

test("a device that is down counts as none: loading module ipip makes tunl0", async () => {
  const down = { ifname: "tunl0", mtu: 1480, flags: [], linkinfo: { info_kind: "ipip" } };
  expect(await gatherTunnels(cliOf({ "ip -j -d link show": JSON.stringify([down]) }), quiet)).toEqual(noTunnels);
  const up = { ...down, flags: ["UP"] };
  const { devices } = await gatherTunnels(cliOf({ "ip -j -d link show": JSON.stringify([up]) }), quiet);
  expect(devices).toEqual([{ name: "tunl0", kind: "ipip", family: 4, mtu: 1480, underlay: undefined }]);
});

test("reads the tunnel, its underlay, and the ways to other nodes", async () => {
  const strict = { "/proc/sys/net/ipv4/conf/all/rp_filter": "1\n" };
  const facts = await gatherTunnels(cliOf(base, strict), quiet);
  expect(facts.devices).toEqual([
    {
      ...{ name: "vxlan.calico", kind: "vxlan", family: 4, mtu: 1450 },
      underlay: { address: "10.1.0.1", link: "eth0", mtu: 1500, port: 4789 },
    },
  ]);
  const peer = { address: "10.1.0.2", device: "vxlan.calico", link: "eth0", hasOwnRoute: true, answers: undefined };
  expect(facts.peers).toEqual([peer]);
  expect(facts.strict).toEqual(["eth0"]);
  expect(facts.mtus.get("cali1")).toBe(1450);
});

test("a peer that is reached by another interface has a route by the underlay, or none", async () => {
  const astray = { ...base, "ip -j route get 10.1.0.2 from 10.1.0.1": '[{"dst":"10.1.0.2","dev":"eth1"}]' };
  const match = "ip -j -4 route show to match 10.1.0.2 dev eth0";
  const [none] = (await gatherTunnels(cliOf({ ...astray, [match]: "[]" }), quiet)).peers;
  expect(none).toMatchObject({ link: "eth1", hasOwnRoute: false });
  const [some] = (await gatherTunnels(cliOf({ ...astray, [match]: '[{"dst":"10.1.0.0/24"}]' }), quiet)).peers;
  expect(some).toMatchObject({ link: "eth1", hasOwnRoute: true });
});

test("pings only on request, and takes a missing program for no answer", async () => {
  const ping = (bytes: number) => `ping -n -q -c 2 -i 0.2 -W 1 -M do -s ${bytes} 10.1.0.2`;
  const received = (count: number) => `2 packets transmitted, ${count} received, 0% packet loss`;
  const answersOf = async (more: object) =>
    (await gatherTunnels(cliOf({ ...base, ...more }), { services: [], probe: true })).peers[0]?.answers;
  expect(await answersOf({})).toEqual({ small: false, full: false });
  expect(await answersOf({ [ping(16)]: received(2), [ping(1472)]: received(2) })).toEqual({ small: true, full: true });
  expect(await answersOf({ [ping(16)]: received(2), [ping(1472)]: received(0) })).toEqual({ small: true, full: false });
});

test("NetworkManager's own words tell what it manages; it is asked only where it runs", async () => {
  const nmcli = [
    "eth0:connected",
    "vxlan.calico:connected",
    "cali1:disconnected",
    "cali2:unmanaged",
    "tunl0:connected (externally)",
    "",
  ].join("\n");
  const cli = cliOf({ ...base, "nmcli --terse --fields DEVICE,STATE device": nmcli });
  expect((await gatherTunnels(cli, quiet)).managed).toEqual([]);
  expect((await gatherTunnels(cli, { ...quiet, services: ["NetworkManager"] })).managed).toEqual([
    { name: "vxlan.calico", state: "connected" },
    { name: "cali1", state: "disconnected" },
  ]);
});
