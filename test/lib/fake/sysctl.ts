/** /proc/sys/net of one fake network namespace: a directory per link, and switches that affect all directories. */
import { sysError } from "./errno.ts";

const perLink: Readonly<Record<string, string>> = {
  "ipv4/conf/*/forwarding": "0",
  "ipv4/conf/*/proxy_arp": "0",
  "ipv4/conf/*/rp_filter": "0",
  "ipv4/conf/*/route_localnet": "0",
  "ipv4/conf/*/arp_ignore": "0",
  "ipv4/neigh/*/proxy_delay": "80",
  "ipv6/conf/*/forwarding": "0",
  "ipv6/conf/*/accept_dad": "1",
  "ipv6/conf/*/accept_ra": "1",
  "ipv6/conf/*/addr_gen_mode": "0",
  "ipv6/conf/*/disable_ipv6": "0",
  "ipv6/conf/*/proxy_ndp": "0",
  "ipv6/neigh/*/proxy_delay": "80",
};

const global: Readonly<Record<string, string>> = {
  "ipv4/ip_forward": "0",
  "netfilter/nf_conntrack_max": "262144",
};

/** Writing the first path also writes the others: the kernel keeps them in step. */
const switches: readonly [string, RegExp][] = [
  ["ipv4/ip_forward", /^ipv4\/conf\/[^/]+\/forwarding$/],
  ["ipv4/conf/all/forwarding", /^ipv4\/(ip_forward|conf\/[^/]+\/forwarding)$/],
  ["ipv6/conf/all/forwarding", /^ipv6\/conf\/[^/]+\/forwarding$/],
  ["ipv6/conf/all/disable_ipv6", /^ipv6\/conf\/[^/]+\/disable_ipv6$/],
];

export class FakeSysctl {
  readonly #values = new Map<string, string>();
  readonly #born = new Map<string, string>();
  readonly #ipv6: boolean;
  readonly #onRouter: () => void;

  /** `onRouter`: called whenever 1 is written to any link's IPv6 `forwarding`. */
  constructor(ipv6: boolean, onRouter: () => void = () => {}) {
    this.#ipv6 = ipv6;
    this.#onRouter = onRouter;
    for (const [path, value] of Object.entries(global)) this.#bear(path, value);
    for (const name of ["all", "default"]) this.addLink(name);
  }

  /** A new link gets the values of `default`. */
  addLink(name: string): void {
    for (const [path, value] of Object.entries(perLink)) {
      if (path.startsWith("ipv6/") && !this.#ipv6) continue;
      if (name === "all" && path.includes("/neigh/")) continue;
      this.#bear(path.replace("*", name), this.#values.get(path.replace("*", "default")) ?? value);
    }
  }

  removeLink(name: string): void {
    for (const path of [...this.#values.keys()]) {
      if (path.split("/")[2] === name) this.#values.delete(path);
    }
  }

  read(path: string): string {
    const value = this.#values.get(path);
    if (value === undefined) throw sysError("ENOENT", "open", `/proc/sys/net/${path}`);
    return `${value}\n`;
  }

  get(path: string): string | undefined {
    return this.#values.get(path);
  }

  write(path: string, text: string): void {
    if (!this.#values.has(path)) throw sysError("ENOENT", "open", `/proc/sys/net/${path}`);
    const value = text.trim();
    if (!/^-?\d+$/.test(value)) throw sysError("EINVAL", "write", `/proc/sys/net/${path}`);
    for (const [lead, followers] of switches) {
      if (lead !== path) continue;
      for (const follower of this.#values.keys()) if (followers.test(follower)) this.#values.set(follower, value);
    }
    this.#values.set(path, value);
    if (value !== "0" && /^ipv6\/conf\/(?!default\/)[^/]+\/forwarding$/.test(path)) this.#onRouter();
  }

  list(path: string): readonly string[] {
    if (!this.hasDirectory(path)) throw sysError("ENOENT", "opendir", `/proc/sys/net/${path}`);
    const below = [...this.#values.keys()].filter((name) => name.startsWith(`${path}/`));
    return [...new Set(below.map((name) => name.slice(path.length + 1).split("/")[0] ?? ""))];
  }

  hasDirectory(path: string): boolean {
    return [...this.#values.keys()].some((name) => name.startsWith(`${path}/`));
  }

  /** The values that differ from the initial ones. */
  print(): readonly string[] {
    const changed = [...this.#values].filter(([path, value]) => this.#born.get(path) !== value);
    return changed.map(([path, value]) => `sysctl net/${path} = ${value}`).sort();
  }

  #bear(path: string, value: string): void {
    this.#values.set(path, value);
    this.#born.set(path, value);
  }
}
