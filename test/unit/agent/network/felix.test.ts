/**
 * What Felix makes of a recorded cluster (`test/fixtures/calico-newest`), and what this agent plans for the same objects, in three modes.
 *
 * Deliberate differences:
 *
 *   the uplink's MTU         Felix takes the smallest of the interfaces with well-known names (`eth…`, `en…`), and 1460 where there is none, as here;
 *                            the agent takes that of the interface with the node's address
 *   routes of pods           the plugin's, not the agent's
 *
 * With `Never` the device and its entries remain: the recording's other pool uses VXLAN.
 */
import { describe, expect, test } from "vitest";
import type { NodeResource } from "../../../../src/plan/node-plan.ts";
import type { Blackhole, Route } from "../../../../src/plan/resource.ts";
import { planned, snapshotOf } from "./cluster.ts";
import { node, recordedCluster, recordingOf, section, uplink } from "./felix-recording.ts";

const protocols: Readonly<Record<number, string>> = { 3: "boot" };

/** As `ip -d route` prints it. */
function routeLine(route: Route | Blackhole): string {
  if (route.kind === "blackhole") return `blackhole ${route.destination} proto ${route.protocol} scope global`;
  const { destination, gateway, link, protocol = 3, mtu, onlink, scope } = route;
  const given = scope ?? (gateway === undefined ? "link" : "global");
  return [
    `unicast ${destination}`,
    ...(gateway === undefined ? [] : [`via ${gateway}`]),
    `dev ${link} proto ${protocols[protocol] ?? protocol} scope ${given}`,
    ...(onlink ? ["onlink"] : []),
    ...(mtu === undefined ? [] : [`mtu ${mtu}`]),
  ].join(" ");
}

const of = <K extends NodeResource["kind"]>(resources: readonly NodeResource[], kind: K) =>
  resources.filter((one): one is Extract<NodeResource, { kind: K }> => one.kind === kind);

describe.each(["Always", "CrossSubnet", "Never"])("vxlanMode %s", (mode) => {
  const recording = recordingOf(mode);
  const { plan, mtu } = planned(snapshotOf(recordedCluster(mode), node, [uplink], { hasIpv6: false }));
  const { resources } = plan ?? { resources: [] };

  test("the same routes", () => {
    const own = section(recording, "ip -d route").filter(
      (line) => !/ dev cali|^unicast default| proto kernel /.test(line),
    );
    const routes = [...of(resources, "route"), ...of(resources, "blackhole")];
    expect(routes.map(routeLine).sort()).toEqual(own.sort());
  });

  test("the same device", () => {
    const [first = "", second = "", third = ""] = section(recording, "ip -d link");
    const address = section(recording, "ip addr").find((line) => line.startsWith("inet "));
    const [vxlan] = of(resources, "vxlan");
    expect(vxlan).toEqual({
      ...{ kind: "vxlan", at: "host", name: /: ([\w.]+):/.exec(first)?.[1] },
      vni: Number(/vxlan id (\d+)/.exec(third)?.[1]),
      port: Number(/dstport (\d+)/.exec(third)?.[1]),
      local: /local (\S+)/.exec(third)?.[1],
      device: / dev (\S+)/.exec(third)?.[1],
      mac: /link\/ether (\S+)/.exec(second)?.[1],
      mtu: Number(/mtu (\d+)/.exec(first)?.[1]),
    });
    expect(of(resources, "address").map(({ address: one, link }) => `inet ${one} scope global ${link}`)).toEqual([
      address,
    ]);
  });

  test("the same neighbours and forwarding entries", () => {
    expect(
      of(resources, "neighbour")
        .map(({ address, mac }) => `${address} lladdr ${mac} PERMANENT`)
        .sort(),
    ).toEqual([...section(recording, "ip neigh")].sort());
    expect(
      of(resources, "fdb")
        .map(({ mac, destination }) => `${mac} dst ${destination} self permanent`)
        .sort(),
    ).toEqual([...section(recording, "bridge fdb")].sort());
  });

  test("the same MTU for pods", () => {
    expect(recording).toContain(`${mtu}# iptables-save`);
  });
});
