/** One fake network namespace: links, addresses, neighbours, routes, sysctls; prints itself in the style of ip(8). */
import { familyOf } from "../../../src/net/address.ts";
import { linkLocalOf } from "../../../src/net/mac.ts";
import { contains, maskPrefix } from "../../../src/net/prefix.ts";
import type { TokenBucketParameters } from "../../../src/netlink/qdisc.ts";
import type { RouteEntry } from "../../../src/netlink/route.ts";
import type { RuleEntry } from "../../../src/netlink/rule.ts";
import { describeRoute, describeRule } from "../../../src/plan/describe.ts";
import type { LinkKind } from "../../../src/plan/resource.ts";
import { FakeSysctl } from "./sysctl.ts";

export interface FakeLink {
  readonly index: number;
  readonly name: string;
  readonly kind: "loopback" | "device" | LinkKind;
  mac: string;
  mtu: number;
  up: boolean;
  alias: string | undefined;
  txQueueLength: number;
  readonly queues: number;
  group: number;
  /** The kernel chose its address by chance, so it is not printed. */
  readonly hasRandomMac: boolean;
  readonly netns: FakeNetns;
  peer: FakeLink | undefined;
  addresses: string[];
  tokenBucket: TokenBucketParameters | undefined;
  ingress: boolean;
  /** The index of the link that the only filter redirects to. */
  redirect: number | undefined;
}

export interface FakeRoute extends Omit<RouteEntry, "protocol" | "type"> {
  readonly protocol: "kernel" | "boot" | "ra" | 80;
  /** Default: unicast. */
  readonly type?: "blackhole";
}

export interface FakeNeighbour {
  readonly index: number;
  readonly address: string;
  mac: string;
}

export class FakeNetns {
  readonly name: string;
  readonly inode: number;
  readonly ipv6: boolean;
  readonly sysctl: FakeSysctl;
  readonly links = new Map<number, FakeLink>();
  routes: FakeRoute[] = [];
  rules: RuleEntry[] = [];
  neighbours: FakeNeighbour[] = [];
  /** Being dismantled: its links still exist, but no path leads to it. */
  dying = false;
  #nextIndex = 1;
  readonly #lo: FakeLink;
  readonly #loBornUp: boolean;

  /** The host's namespace was set up at boot; in a new one `lo` is down. */
  constructor(name: string, inode: number, { ipv6, booted }: { readonly ipv6: boolean; readonly booted: boolean }) {
    this.name = name;
    this.inode = inode;
    this.ipv6 = ipv6;
    this.sysctl = new FakeSysctl(ipv6, () => this.#purgeAdvertised());
    this.#lo = this.addLink({ name: "lo", kind: "loopback", mac: "00:00:00:00:00:00", mtu: 65536 });
    this.#loBornUp = booted;
    if (booted) this.raise(this.#lo);
  }

  addLink(
    link: Pick<FakeLink, "name" | "kind" | "mac" | "mtu"> &
      Partial<Pick<FakeLink, "txQueueLength" | "queues" | "hasRandomMac">>,
  ): FakeLink {
    const made: FakeLink = {
      txQueueLength: 1000,
      queues: 1,
      hasRandomMac: false,
      ...link,
      index: this.#nextIndex++,
      up: false,
      alias: undefined,
      netns: this,
      peer: undefined,
      addresses: [],
      tokenBucket: undefined,
      ingress: false,
      redirect: undefined,
      group: 0,
    };
    this.links.set(made.index, made);
    this.sysctl.addLink(made.name);
    return made;
  }

  find(name: string): FakeLink | undefined {
    return [...this.links.values()].find((link) => link.name === name);
  }

  /** Deletes a link, its peer, and everything that depends on them. */
  deleteLink(link: FakeLink): void {
    if (!this.links.delete(link.index)) return;
    this.sysctl.removeLink(link.name);
    this.routes = this.routes.filter(({ index }) => index !== link.index);
    this.neighbours = this.neighbours.filter(({ index }) => index !== link.index);
    for (const other of this.links.values()) if (other.redirect === link.index) other.redirect = undefined;
    link.peer?.netns.deleteLink(link.peer);
  }

  addAddress(link: FakeLink, address: string, noPrefixRoute = false): void {
    link.addresses.push(address);
    const family = familyOf(address);
    // The routes of lo are in the table "local", which is not modelled.
    if (noPrefixRoute || (family === 4 && address.endsWith("/32")) || link.kind === "loopback") return;
    this.routes.push({
      destination: maskPrefix(address),
      index: link.index,
      gateway: undefined,
      scope: family === 4 ? 253 : 0,
      table: 254,
      source: family === 4 ? address.replace(/\/.*/, "") : undefined,
      priority: family === 4 ? undefined : 256,
      mtu: undefined,
      advmss: undefined,
      protocol: "kernel",
    });
  }

  deleteAddress(link: FakeLink, address: string): void {
    link.addresses = link.addresses.filter((has) => has !== address);
    const prefix = maskPrefix(address);
    this.routes = this.routes.filter(
      ({ protocol, index, destination }) => protocol !== "kernel" || index !== link.index || destination !== prefix,
    );
  }

  /** A pair whose ends are both up has a carrier and starts IPv6. A loopback has a carrier by itself. */
  raise(link: FakeLink): void {
    link.up = true;
    if (link.kind === "loopback") {
      if (!link.addresses.some((address) => familyOf(address) === 4)) this.addAddress(link, "127.0.0.1/8");
      this.#addOwnAddress(link, "::1/128");
    }
    if (link.peer?.up !== true) return;
    for (const end of [link, link.peer]) end.netns.#addOwnAddress(end, `${linkLocalOf(end.mac)}/64`);
  }

  /** Removes IPv6 addresses and all routes; IPv4 addresses stay. */
  lower(link: FakeLink): void {
    link.up = false;
    for (const address of link.addresses) if (familyOf(address) === 6) this.deleteAddress(link, address);
    this.routes = this.routes.filter(({ index }) => index !== link.index);
  }

  /** A router advertises a default route; the link adds it if it accepts advertisements. */
  advertise(link: FakeLink, gateway: string): void {
    if (!this.#listens(link)) return;
    const more = { scope: 0, table: 254, source: undefined, priority: 1024, mtu: undefined, advmss: undefined };
    this.routes.push({ ...more, destination: "::/0", index: link.index, gateway, protocol: "ra" });
  }

  #listens({ name }: FakeLink): boolean {
    const wanted = this.sysctl.get(`ipv6/conf/${name}/forwarding`) === "0" ? ["1", "2"] : ["2"];
    return wanted.includes(this.sysctl.get(`ipv6/conf/${name}/accept_ra`) ?? "");
  }

  /** rt6_purge_dflt_routers. */
  #purgeAdvertised(): void {
    this.routes = this.routes.filter(({ protocol, index }) => {
      const name = this.#nameOf(index);
      return protocol !== "ra" || this.sysctl.get(`ipv6/conf/${name}/accept_ra`) === "2";
    });
  }

  /** Adds the link's own address, as the kernel does unless IPv6 is disabled. */
  #addOwnAddress(link: FakeLink, address: string): void {
    const enabled = this.sysctl.get(`ipv6/conf/${link.name}/disable_ipv6`) === "0";
    if (enabled && !link.addresses.includes(address)) this.addAddress(link, address);
  }

  /** Whether an address is reachable over a link without a gateway. */
  onLink(link: FakeLink, address: string): boolean {
    return this.routes.some(
      ({ index, gateway, destination }) =>
        index === link.index && gateway === undefined && contains(destination, address),
    );
  }

  print(): string {
    // Print lo only if its state has changed.
    const links = [...this.links.values()].filter((link) => link !== this.#lo || link.up !== this.#loBornUp);
    return [
      `# ${this.name}${this.dying ? " (dying)" : ""}`,
      ...links.sort(byName).flatMap((link) => this.#printLink(link)),
      ...this.neighbours
        .map(({ index, address, mac }) => `neighbour ${address} lladdr ${mac} dev ${this.#nameOf(index)}`)
        .sort(),
      ...this.routes.map((route) => this.#printRoute(route)).sort(),
      ...this.rules.map((rule) => `${rule.family === 6 ? "IPv6 " : ""}rule ${describeRule(rule)}`).sort(),
      ...this.sysctl.print(),
    ].join("\n");
  }

  #printLink(link: FakeLink): string[] {
    const { name, kind, mac, mtu, up, alias, peer, txQueueLength, queues, group, hasRandomMac } = link;
    const { tokenBucket, ingress, redirect } = link;
    const words = [`link ${name}`, kind, up ? "up" : "down", `mtu ${mtu}`, `mac ${hasRandomMac ? "random" : mac}`];
    if (txQueueLength !== 1000) words.push(`qlen ${txQueueLength}`);
    if (queues !== 1) words.push(`queues ${queues}`);
    if (group !== 0) words.push(`group ${group}`);
    if (peer) words.push(`peer ${peer.name} of ${peer.netns.name}`);
    if (alias !== undefined) words.push(`alias "${alias}"`);
    const lines = [words.join(" "), ...[...link.addresses].sort().map((address) => `  address ${address}`)];
    if (tokenBucket) {
      const { rateBytes, burstBytes, limitBytes } = tokenBucket;
      lines.push(`  qdisc tbf rate ${rateBytes} burst ${burstBytes} limit ${limitBytes}`);
    }
    if (ingress) lines.push("  qdisc ingress");
    if (redirect !== undefined) lines.push(`  redirect to ${this.#nameOf(redirect)}`);
    return lines;
  }

  #printRoute({
    protocol,
    index,
    destination,
    scope,
    gateway,
    table,
    priority,
    source,
    mtu,
    advmss,
    type,
  }: FakeRoute): string {
    if (type === "blackhole") return `route blackhole ${destination} proto ${protocol}`;
    const route = { kind: "route", at: "host", destination, scope, link: this.#nameOf(index) } as const;
    const text = describeRoute({
      ...route,
      ...(gateway === undefined ? {} : { gateway }),
      ...(table === 254 ? {} : { table }),
      ...(priority === undefined ? {} : { priority }),
      ...(source === undefined ? {} : { source }),
      ...(mtu === undefined ? {} : { mtu }),
      ...(advmss === undefined ? {} : { advmss }),
    });
    return `route ${text}${protocol === "boot" ? "" : ` proto ${protocol}`}`;
  }

  #nameOf(index: number | undefined): string {
    return this.links.get(index ?? 0)?.name ?? `link ${index}`;
  }
}

function byName(one: FakeLink, other: FakeLink): number {
  return one.name < other.name ? -1 : 1;
}
