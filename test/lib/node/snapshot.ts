/**
 * The whole state of a node as sorted text, so that "unchanged" means that two texts are equal.
 *
 * One line per object: links, addresses, routes, rules, neighbours, qdiscs, filters, firewall, the forwarding sysctls, and every file
 * and directory under /run, /etc, /opt, /var/lib and /var/log that was written since the node started.
 * Indices, counters, ages and handles are left out, because they change by themselves.
 */
import type { Machine } from "./netns.ts";

export interface SnapshotOptions {
  /** The name of a pod; the node itself if absent. */
  readonly in?: string;
  /** Set to false to leave out the files (a pod has no files of its own). */
  readonly files?: boolean;
}

/** Sections in this order; each line begins with the name of its section. */
export function snapshot(node: Machine, options: SnapshotOptions = {}): string {
  const where = options.in === undefined ? {} : { in: options.in };
  const files = options.files ?? options.in === undefined;
  return node
    .sh(files ? kernelScript + fileScript : kernelScript, where)
    .split("\n@@ ")
    .flatMap((section) => linesOf(section))
    .join("\n");
}

/** The lines that only one of two snapshots has, as `- gone` and `+ new`; empty if they are equal. */
export function diff(before: string, after: string): string {
  const [old, now] = [before.split("\n"), after.split("\n")];
  const [oldSet, nowSet] = [new Set(old), new Set(now)];
  const gone = old.filter((line) => !nowSet.has(line)).map((line) => `- ${line}`);
  const come = now.filter((line) => !oldSet.has(line)).map((line) => `+ ${line}`);
  return [...gone, ...come].join("\n");
}

const kernelScript = `
echo "@@ link json"; ip -d -j link show
printf '\\n@@ address json\\n'; ip -j address show
printf '\\n@@ route json\\n'; ip -j -4 route show table all
printf '\\n@@ route6 json\\n'; ip -j -6 route show table all
printf '\\n@@ rule json\\n'; ip -j -4 rule show
printf '\\n@@ rule6 json\\n'; ip -j -6 rule show
printf '\\n@@ neighbour json\\n'; ip -j neighbour show nud permanent
printf '\\n@@ qdisc json\\n'; tc -j qdisc show
for link in $(tc qdisc show | sed -nE 's/^qdisc (ingress|clsact) ffff: dev ([^ ]+) .*/\\2/p'); do
  printf '\\n@@ filter text\\n'; tc filter show dev $link parent ffff: 2>/dev/null | sed "s/^/$link /" || true
done
printf '\\n@@ nft nft\\n'; nft list ruleset
printf '\\n@@ iptables iptables\\n'; iptables-save 2>/dev/null
printf '\\n@@ ip6tables iptables\\n'; ip6tables-save 2>/dev/null
printf '\\n@@ sysctl text\\n'
cd /proc/sys/net
grep -s '' ipv4/ip_forward ipv4/conf/*/route_localnet ipv4/conf/*/forwarding ipv4/conf/*/proxy_arp \\
  ipv4/conf/*/rp_filter ipv6/conf/*/forwarding ipv6/conf/*/proxy_ndp ipv6/conf/*/accept_ra ipv6/conf/*/disable_ipv6 |
  sed 's/:/ = /' || true
cd /
`;

/** Excludes directories that the node itself or a command creates, rather than the plugins. */
const fileScript = `
printf '\\n@@ file text\\n'
list() {
  find . -mindepth 1 "$@" -type f -exec cksum {} + -o -type d -printf '%p/\\n' -o -printf '%p %y\\n' | sed -E 's#^([0-9]+ [0-9]+ )?\\./(.*)#\\2 \\1#'
}
cd /run
list \\( -path ./.node -o -path ./netns -o -path ./mount -o -path ./xtables.lock \\) -prune -o | sed 's#^#/run/#'
for directory in etc opt var/lib var/log; do
  cd /run/.node/$directory/upper 2>/dev/null || continue
  list | sed "s#^#/$directory/#"
done
`;

function linesOf(section: string): readonly string[] {
  const [head = "", ...rest] = section.replace(/^@@ /, "").split("\n");
  const [name = "", form = "text"] = head.split(" ");
  const body = rest.join("\n").trim();
  if (body === "") return [];
  return linesIn(body, form).map((line) => `${name} ${line}`);
}

function linesIn(body: string, form: string): readonly string[] {
  switch (form) {
    case "json":
      return (JSON.parse(body) as readonly JsonItem[])
        .filter((item) => !followsAnAddress(item))
        .map((item) => JSON.stringify(stable(item)))
        .sort();
    case "nft":
      return nftLines(body);
    case "iptables":
      return iptablesLines(body);
    default:
      return body
        .split("\n")
        .map((line) => line.trim().replace(/\b(chain|fh|key ht|bkt) \S+ ?/g, ""))
        .filter((line) => line !== "")
        .sort();
  }
}

type JsonItem = { readonly [key: string]: unknown };

/** IPv6 routes in the local table appear and disappear with duplicate address detection, a second after the address. */
function followsAnAddress({ protocol, table, dst }: JsonItem): boolean {
  return protocol === "kernel" && table === "local" && String(dst).includes(":");
}

/** Indices, times, counters, and values that only reflect a link's state. */
const volatile = new Set([
  "ifindex",
  "link_index",
  "link_netnsid",
  "ifi_type",
  "stats",
  "stats64",
  "valid_life_time",
  "preferred_life_time",
  "expires",
  "age",
  "refcnt",
  "tentative",
  "promiscuity",
  "allmulti",
  "operstate",
  "parentdev",
]);

function stable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stable);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value)
    .filter(([key]) => !volatile.has(key))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [key, stable(each)]));
}

/** Prefixes every line with the path of the blocks around it, so that lines can be compared one by one; one line per element of a set. */
function nftLines(body: string): readonly string[] {
  const path: string[] = [];
  const lines: string[] = [];
  for (const raw of joinElements(body).split("\n")) {
    const line = raw.trim().replace(/counter packets \d+ bytes \d+/g, "counter");
    if (line === "" || line.startsWith("#")) continue;
    if (line === "}") {
      path.pop();
    } else if (line.endsWith("{")) {
      path.push(line.slice(0, -1).trim());
      lines.push(path.join(" / "));
    } else {
      for (const each of elementsOf(line)) lines.push(`${path.join(" / ")} / ${each}`);
    }
  }
  return lines;
}

function joinElements(body: string): string {
  return body.replace(/elements = \{[^}]*\}/g, (text) => text.replace(/\s*\n\s*/g, " "));
}

function elementsOf(line: string): readonly string[] {
  const inside = /^elements = \{(.*)\}$/.exec(line)?.[1];
  if (inside === undefined) return [line];
  return inside
    .split(/, (?=(?:[^"]*"[^"]*")*[^"]*$)/)
    .map((element) => `element ${element.trim()}`)
    .sort();
}

/** Drops comments, in which iptables-nft complains about tables that it did not create. */
function iptablesLines(body: string): readonly string[] {
  let table = "";
  return body.split("\n").flatMap((line) => {
    if (line.startsWith("*")) table = line;
    if (line === "" || line.startsWith("#") || line === "COMMIT") return [];
    return [`${table} ${line.replace(/\[\d+:\d+\]/, "").trim()}`];
  });
}
