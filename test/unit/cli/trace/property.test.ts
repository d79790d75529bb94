/** Whatever the way and whatever its numbers: one fault, and no longer is every step right. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BaseChain } from "../../../../src/cli/doctor/reach/filter.ts";
import type { Entry, Hop, Link, TraceFacts } from "../../../../src/cli/trace/facts.ts";
import { hopsOf } from "../../../../src/cli/trace/hops.ts";
import { howMany } from "../../../lib/how-many.ts";
import { ways } from "./example.ts";

interface Fault {
  readonly name: string;
  /** The facts with it; `undefined`: they cannot have it. */
  readonly inject: (facts: TraceFacts, chance: Chance) => TraceFacts | undefined;
  /** Whether the step may stay open: something was not read. */
  readonly isUnread?: true;
}

/** Random numbers of a case. */
interface Chance {
  readonly mac: string;
  readonly address: string;
  readonly number: number;
}

type Route = Extract<TraceFacts["route"], { kind: "route" }>;

function changedLink(facts: TraceFacts, name: string | undefined, changes: Partial<Link> | undefined) {
  const old = facts.links?.get(name ?? "");
  if (old === undefined) return undefined;
  const links = new Map(facts.links);
  if (changes === undefined) links.delete(old.name);
  else links.set(old.name, { ...old, ...changes });
  return { ...facts, links };
}

/** Of each interface that the packet meets on the node. */
function linksOn({ source, route, uplink, target }: TraceFacts): readonly string[] {
  const out = route.kind === "route" && target.kind !== "this node" ? [route.dev] : [];
  return [...new Set([source.hostInterface, ...out, ...(uplink === undefined ? [] : [uplink.dev])])];
}

/** Also those of the tunnel's own packets. */
function hooksOn({ target, tunnel }: TraceFacts): readonly BaseChain["hook"][] {
  if (target.kind === "this node") return ["prerouting", "input"];
  return ["prerouting", "forward", "postrouting", ...(tunnel === undefined ? [] : (["output", "input"] as const))];
}

function onSome(change: Partial<Link> | undefined): Fault["inject"] {
  return (facts, { number }) => {
    const names = linksOn(facts);
    return changedLink(facts, names[number % names.length], change);
  };
}

function withRoute(
  change: (route: Route, facts: TraceFacts, chance: Chance) => Partial<Route> | undefined,
): Fault["inject"] {
  return (facts, chance) => {
    if (facts.route.kind !== "route") return undefined;
    const changes = change(facts.route, facts, chance);
    return changes && { ...facts, route: { ...facts.route, ...changes } };
  };
}

function withTunnel(changes: Partial<NonNullable<TraceFacts["tunnel"]>>, kind?: "vxlan"): Fault["inject"] {
  return (facts) =>
    facts.tunnel === undefined || (kind !== undefined && facts.tunnel.kind !== kind)
      ? undefined
      : { ...facts, tunnel: { ...facts.tunnel, ...changes } };
}

function withVxlan(field: string, value: (chance: Chance) => unknown): Fault["inject"] {
  return (facts, chance) => {
    if (facts.tunnel?.kind !== "vxlan") return undefined;
    const vxlan = facts.links?.get(facts.tunnel.device)?.vxlan;
    return changedLink(facts, facts.tunnel.device, { vxlan: { ...vxlan, [field]: value(chance) } as never });
  };
}

function withNext(neighbour: Entry): Fault["inject"] {
  return (facts) => facts.uplink && { ...facts, uplink: { ...facts.uplink, neighbour } };
}

function withSender(changes: Partial<TraceFacts["sender"]>): Fault["inject"] {
  return (facts) => ({ ...facts, sender: { ...facts.sender, ...changes } });
}

const switchOf = { 4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding" } as const;
const refused = { kind: "refused", reason: "Network is unreachable" } as const;
const toFarPod = (facts: TraceFacts) => facts.target.kind === "far pod";

const faults: readonly Fault[] = [
  { name: "an interface is missing", inject: onSome(undefined) },
  { name: "an interface is down", inject: onSome({ isUp: false }) },
  { name: "an interface has no carrier", inject: onSome({ hasCarrier: false }) },
  {
    name: "an MTU is too small",
    inject: (facts, chance) => (facts.target.kind === "this node" ? undefined : onSome({ mtu: 1279 })(facts, chance)),
  },
  {
    name: "no interface has the node's address",
    inject: (facts) => changedLink(facts, facts.uplink?.dev, { addresses: [] }),
  },
  { name: "the kernel refuses the packet", inject: (facts) => ({ ...facts, route: refused }) },
  {
    name: "the kernel refuses the reply",
    inject: (facts) => (facts.target.kind === "this node" ? undefined : { ...facts, reply: refused }),
  },
  {
    name: "the reply goes elsewhere",
    inject: (facts) =>
      facts.reply.kind === "route" ? { ...facts, reply: { ...facts.reply, dev: "elsewhere" } } : undefined,
  },
  {
    name: "the next hop is another",
    inject: withRoute((_, facts, { address }) => (toFarPod(facts) ? { gateway: address } : undefined)),
  },
  {
    name: "the route has no next hop",
    inject: withRoute((_, facts) => (toFarPod(facts) ? { gateway: undefined } : undefined)),
  },
  {
    name: "the route leaves by another interface",
    inject: withRoute((_, facts) =>
      facts.target.kind === "outside" || facts.target.kind === "this node" ? undefined : { dev: "cali9" },
    ),
  },
  {
    name: "there is only the default route",
    inject: withRoute((_, facts) => (toFarPod(facts) ? { via: "default" } : undefined)),
  },
  { name: "the next machine does not answer", inject: withNext({ kind: "silent", state: "FAILED" }) },
  {
    name: "the neighbour entry of the tunnel is missing",
    inject: withTunnel({ neighbour: { kind: "missing" } }, "vxlan"),
  },
  {
    name: "the neighbour entry of the tunnel is another's",
    inject: (facts, { mac }) => withTunnel({ neighbour: { kind: "found", value: mac } }, "vxlan")(facts, {} as Chance),
  },
  { name: "the FDB entry is missing", inject: withTunnel({ forwards: { kind: "missing" } }, "vxlan") },
  {
    name: "the FDB entry is another's",
    inject: (facts, { address }) =>
      withTunnel({ forwards: { kind: "found", value: address } }, "vxlan")(facts, {} as Chance),
  },
  { name: "there is no way to the other node", inject: withTunnel({ outer: refused }) },
  { name: "what comes back from the other node is refused", inject: withTunnel({ outerReply: refused }) },
  { name: "the VNI is another", inject: withVxlan("vni", ({ number }) => 5000 + number) },
  { name: "the port is another", inject: withVxlan("port", ({ number }) => 10_000 + number) },
  { name: "the tunnel sends from another address", inject: withVxlan("local", ({ address }) => address) },
  { name: "the tunnel is bound to another interface", inject: withVxlan("below", () => "cali2") },
  { name: "the pod has no route", inject: withSender({ route: refused }) },
  { name: "the pod has no interface", inject: withSender({ link: undefined }) },
  {
    name: "the pod knows its gateway by another MAC address",
    inject: (facts, { mac }) => withSender({ gateway: { kind: "found", value: mac } })(facts, {} as Chance),
  },
  {
    name: "the node knows the pod by another MAC address",
    inject: (facts, { mac }) =>
      facts.target.kind === "local pod"
        ? { ...facts, target: { ...facts.target, neighbour: { kind: "found", value: mac } } }
        : undefined,
  },
  {
    name: "forwarding is off",
    inject: (facts) =>
      facts.target.kind === "this node"
        ? undefined
        : { ...facts, sysctls: new Map([...facts.sysctls, [switchOf[facts.family], "0"]]) },
  },
  {
    name: "a chain drops everything at a hook on the way",
    inject: (facts, { number }) => {
      const hooks = hooksOn(facts);
      const hook = hooks[number % hooks.length] as BaseChain["hook"];
      const base = { backend: "nft", family: "inet", table: "fw", name: "c", hook, policy: "drop" } as const;
      return { ...facts, chains: [{ ...base, chains: new Map([["c", []]]) }] };
    },
  },
  {
    name: "the table of natOutgoing is missing",
    inject: (facts) => (facts.target.kind === "outside" ? { ...facts, natTable: "missing" } : undefined),
  },
  { name: "interfaces were not read", isUnread: true, inject: (facts) => ({ ...facts, links: undefined }) },
  {
    name: "rules were not read",
    isUnread: true,
    inject: (facts) => ({ ...facts, hasUnreadRules: true }),
  },
  {
    name: "the route was not asked for",
    isUnread: true,
    inject: (facts) => ({ ...facts, route: { kind: "unasked" } }),
  },
  {
    name: "the reply was not asked for",
    isUnread: true,
    inject: (facts) => (facts.target.kind === "this node" ? undefined : { ...facts, reply: { kind: "unasked" } }),
  },
  {
    name: "the next machine was not read",
    isUnread: true,
    inject: (facts, numbers) => {
      const neighbour = facts.uplink?.neighbour;
      const isGood = neighbour?.kind === "found" && neighbour.state === "REACHABLE";
      return isGood ? withNext({ kind: "unread", reason: "ip failed" })(facts, numbers) : undefined;
    },
  },
  {
    name: "the FDB was not read",
    isUnread: true,
    inject: withTunnel({ forwards: { kind: "unread", reason: "" } }, "vxlan"),
  },
  { name: "the settings were not read", isUnread: true, inject: withSettings },
];

function withSettings(facts: TraceFacts): TraceFacts | undefined {
  return facts.tunnel?.kind === "vxlan" ? { ...facts, settings: undefined } : undefined;
}

const chance = fc.record<Chance>({
  mac: fc.integer({ min: 0, max: 0xff }).map((byte) => `0a:00:00:00:00:${byte.toString(16).padStart(2, "0")}`),
  address: fc.integer({ min: 1, max: 254 }).map((host) => `198.18.0.${host}`),
  number: fc.nat(1000),
});

/** All MTUs together larger or smaller, and the next machine in any state that is not wrong. */
const way = fc
  .record({
    facts: fc.constantFrom(...Object.values(ways)),
    larger: fc.integer({ min: -100, max: 7000 }),
    state: fc.constantFrom("REACHABLE", "STALE", "DELAY", "PERMANENT"),
  })
  .map(({ facts, larger, state }): TraceFacts => {
    const grown = (link: Link): Link => ({ ...link, mtu: link.mtu + larger });
    const { sender, target, uplink } = facts;
    return {
      ...facts,
      links: new Map([...(facts.links ?? [])].map(([name, link]) => [name, grown(link)])),
      sender: { ...sender, link: sender.link && grown(sender.link) },
      target:
        target.kind === "local pod" && target.receiver.link !== undefined
          ? { ...target, receiver: { ...target.receiver, link: grown(target.receiver.link) } }
          : target,
      uplink: uplink && {
        ...uplink,
        neighbour: uplink.neighbour.kind === "found" ? { ...uplink.neighbour, state } : uplink.neighbour,
      },
    };
  });

const counted = (facts: TraceFacts, verdict: Hop["verdict"]) => hopsOf(facts).filter((hop) => hop.verdict === verdict);

describe("hopsOf()", () => {
  test("finds nothing wrong where nothing is", () => {
    fc.assert(
      fc.property(way, (facts) => {
        expect(counted(facts, "wrong")).toEqual([]);
      }),
      { numRuns: howMany(500) },
    );
  });

  test.each(faults)("sees that $name", ({ inject, isUnread }) => {
    let cases = 0;
    fc.assert(
      fc.property(way, chance, (facts, numbers) => {
        const faulty = inject(facts, numbers);
        fc.pre(faulty !== undefined);
        cases++;
        if (isUnread) expect(counted(faulty, "good").length).toBeLessThan(counted(facts, "good").length);
        else expect(counted(faulty, "wrong").length).toBeGreaterThan(0);
      }),
      { numRuns: howMany(200) },
    );
    expect(cases).toBeGreaterThan(0);
  });
});
