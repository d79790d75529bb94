/**
 * The configuration of BIRD 2 or 3, as a pure function of the cluster's objects.
 *
 * BIRD announces this node's blocks and services, learns the other nodes' blocks, and gives the kernel routes to those without a tunnel.
 * `tortie-net` makes all routes with protocol number 80, such as those through tunnels and those that drop packets to free addresses of a block;
 * BIRD learns them from the kernel, but never makes the same ones.
 */
import { type Family, familyOf } from "../../net/address.ts";
import { hostPrefix, lengthOf } from "../../net/prefix.ts";
import { addCommunity, filterFunction, renderFilter } from "./filter.ts";
import { routerIdOf } from "./router-id.ts";
import { type Session, sessionsOf } from "./sessions.ts";
import { type BgpSnapshot, defaultPort, NodeSettings, ownNode } from "./snapshot.ts";

export interface BirdConfig {
  readonly text: string;
  /** What could not be honoured: sentences for the operator. */
  readonly problems: readonly string[];
  readonly sessions: readonly Session[];
}

/** BIRD logs to `logFile`, and renames a full one to `<logFile>.1`. */
export function birdConfig(snapshot: BgpSnapshot, logFile: string): BirdConfig {
  const { sessions, problems } = sessionsOf(snapshot);
  const unknown = sessions.flatMap((session) => missingFilters(snapshot, session));
  const missing = [...new Set(unknown)].map(
    (name) => `BGPFilter "${name}" does not exist; the peers that name it get and send no routes`,
  );
  const settings = new NodeSettings(snapshot, ownNode(snapshot) ?? { name: snapshot.node });
  const families = familiesOf(snapshot);
  const sections = [
    general(snapshot, settings, logFile),
    ...families.map((family) => statics(snapshot, sessions, family)),
    ...families.map((family) => kernel(snapshot, settings, family)),
    ...families.map((family) => exports(snapshot, settings, family)),
    ...families.map((family) => peerFilters(snapshot, sessions, family)),
    ...sessions.map((session) => protocol(snapshot, session, settings)),
  ];
  const text = `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
  return { text, problems: [...problems, ...missing, ...unsupported(settings)], sessions };
}

/** The BGPFilters that a session names and that do not exist. */
function missingFilters({ filters: known }: BgpSnapshot, { filters }: Session): readonly string[] {
  return filters.filter((name) => !known.some((one) => one.name === name));
}

function unsupported({ cluster }: NodeSettings): readonly string[] {
  if (cluster?.serviceLoadBalancerAggregation !== "Disabled") return [];
  return [
    'BGPConfiguration "default": serviceLoadBalancerAggregation "Disabled" is not supported; ranges are announced whole',
  ];
}

/** Those that the node has an address of. */
function familiesOf(snapshot: BgpSnapshot): readonly Family[] {
  const addresses = ownNode(snapshot)?.addresses ?? {};
  return ([4, 6] as const).filter((family) => addresses[family] !== undefined);
}

const severities = {
  trace: "all",
  debug: "{ debug, trace, info, remote, warning, error, auth, fatal, bug }",
  info: "{ info, remote, warning, error, auth, fatal, bug }",
  warning: "{ warning, error, auth, fatal, bug }",
  error: "{ error, auth, fatal, bug }",
  fatal: "{ fatal, bug }",
} as const;

const maxLogBytes = 1_048_576;

function general(snapshot: BgpSnapshot, settings: NodeSettings, logFile: string): readonly string[] {
  const severity = (settings.logSeverity || "info").toLowerCase() as keyof typeof severities;
  const ignored = settings.ignoredInterfaces.map((name) => `-"${name}", `).join("");
  const channels = familiesOf(snapshot)
    .map((family) => `ipv${family};`)
    .join(" ");
  return [
    "# Written by tortie-node, which overwrites changes.",
    `log "${logFile}" ${maxLogBytes} "${logFile}.1" ${severities[severity] ?? severities.info};`,
    `router id ${routerIdOf(snapshot)};`,
    "",
    "protocol device { scan time 2; }",
    "",
    "protocol direct {",
    ...(channels === "" ? [] : [`  ${channels}`]),
    `  interface -"cali*", -"kube-ipvs*", ${ignored}"*";`,
    "}",
  ];
}

/** A block of a single address is the pod's own route, which a route for the block would hide. */
function blocksOf({ blocks }: BgpSnapshot, family: Family): readonly string[] {
  const isWhole = (block: string) => familyOf(block) === family && lengthOf(block) < (family === 4 ? 32 : 128);
  return blocks.filter(isWhole).sort();
}

function statics(snapshot: BgpSnapshot, sessions: readonly Session[], family: Family): readonly string[] {
  const own = [...blocksOf(snapshot, family), ...servicesOf(snapshot, family)].map((net) => `route ${net} blackhole;`);
  const ways = sessions
    .filter((session) => session.family === family && session.reachableBy !== undefined)
    .map(({ neighbour, reachableBy }) => `route ${hostPrefix(neighbour)} via ${reachableBy};`);
  const routes = [...new Set([...own, ...ways])];
  if (routes.length === 0) return [];
  return [`protocol static static${family} {`, `  ipv${family};`, ...routes.map((line) => `  ${line}`), "}"];
}

function servicesOf({ services }: BgpSnapshot, family: Family): readonly string[] {
  return services.filter((prefix) => familyOf(prefix) === family).sort();
}

function kernel(snapshot: BgpSnapshot, { cluster }: NodeSettings, family: Family): readonly string[] {
  const program = cluster?.programClusterRoutes ?? "EnabledNoEncapOnly";
  const leavesAll = program === "Disabled" || program === "EnabledIPIPOnly";
  const left = poolsOf(snapshot, family).filter(({ isTunnelled }) => isTunnelled || leavesAll);
  return [
    `filter to_kernel${family} {`,
    "  if source = RTS_DEVICE then reject;",
    "  if dest = RTD_BLACKHOLE then reject;",
    ...left.map(({ cidr }) => `  if net ~ ${cidr} then reject;`),
    "  accept;",
    "}",
    "",
    `protocol kernel kernel${family} {`,
    "  learn;",
    "  persist;",
    // BIRD's own default, 32, would leave a second route beside one that Calico's BIRD made.
    ...(family === 4 ? ["  metric 0;"] : []),
    "  scan time 2;",
    "  merge paths on;",
    "  graceful restart;",
    `  ipv${family} { import all; export filter to_kernel${family}; };`,
    "}",
  ];
}

function poolsOf({ pools }: BgpSnapshot, family: Family) {
  const own = pools.filter(({ cidr }) => familyOf(cidr) === family);
  return own.sort((one, other) => (one.cidr < other.cidr ? -1 : Number(one.cidr > other.cidr)));
}

/** What peers are told: first what must not leave, then this node's blocks as a whole, services, and routes inside pools. */
function exports(snapshot: BgpSnapshot, settings: NodeSettings, family: Family): readonly string[] {
  const pools = poolsOf(snapshot, family);
  return [
    `function export${family}(bool to_node)`,
    "{",
    // Each node makes these itself, from the same objects, but not those of the floating IPs of pods here.
    '  if to_node && defined(krt_source) && krt_source = 80 && !(defined(ifname) && ifname ~ "cali*") then reject;',
    '  if to_node && defined(ifname) && ifname ~ "*.calico" then reject;',
    '  if to_node && defined(ifname) && ifname ~ "tunl0" then reject;',
    ...pools.filter(({ disableBGPExport }) => disableBGPExport).map(({ cidr }) => `  if net ~ ${cidr} then reject;`),
    ...communities(settings, family),
    ...blocksOf(snapshot, family).flatMap((block) => [
      `  if net = ${block} then accept;`,
      `  if net ~ ${block} then reject;`,
    ]),
    ...servicesOf(snapshot, family).map((prefix) => `  if net = ${prefix} then accept;`),
    ...pools.filter(({ disableBGPExport }) => !disableBGPExport).map(({ cidr }) => `  if net ~ ${cidr} then accept;`),
    "}",
  ];
}

function communities(settings: NodeSettings, family: Family): readonly string[] {
  const named = new Map(settings.cluster?.communities.map(({ name, value }) => [name, value]) ?? []);
  return settings.advertisements
    .filter(({ cidr }) => familyOf(cidr) === family)
    .flatMap(({ cidr, communities: wanted }) => {
      const values = wanted.map((text) => named.get(text) ?? text).filter((text) => /^\d+:\d+(:\d+)?$/.test(text));
      if (values.length === 0) return [];
      return [`  if net ~ ${cidr} then {`, ...values.map((value) => `    ${addCommunity(value)}`), "  }"];
    });
}

/** The functions of those BGPFilters that a session names. */
function peerFilters(snapshot: BgpSnapshot, sessions: readonly Session[], family: Family): readonly string[] {
  const named = new Set(sessions.filter((one) => one.family === family).flatMap(({ filters }) => filters));
  const used = snapshot.filters.filter(({ name }) => named.has(name));
  const functions = used.flatMap((filter) =>
    (["import", "export"] as const).map((direction) => renderFilter(filter, direction, family).join("\n")),
  );
  return functions.length === 0 ? [] : [functions.join("\n\n")];
}

function protocol(snapshot: BgpSnapshot, session: Session, settings: NodeSettings): readonly string[] {
  const { name, neighbour, port, remoteAs, localAs, source, family } = session;
  const address = source === undefined ? "" : ` ${source}`;
  return [
    `protocol bgp ${name} {`,
    `  local${address}${portText(settings.listenPort)} as ${localAs};`,
    `  neighbor ${neighbour}${portText(port)} as ${remoteAs};`,
    ...options(session, settings),
    `  ipv${family} {`,
    ...channel(snapshot, session),
    "  };",
    "}",
  ];
}

function portText(port: number): string {
  return port === defaultPort ? "" : ` port ${port}`;
}

function options(session: Session, settings: NodeSettings): readonly string[] {
  const { ttlSecurity, password, restartSeconds, keepaliveSeconds, allowedLocalAsNumbers, reflectorClusterId } =
    session;
  return [
    ttlSecurity === undefined ? "multihop;" : `multihop ${ttlSecurity}; ttl security on;`,
    ...(session.isPassive ? ["passive on;"] : []),
    ...(settings.bindsToAddress && session.source !== undefined ? ["strict bind yes;"] : []),
    ...(password === undefined ? [] : [`password "${password}";`]),
    ...(reflectorClusterId === undefined ? [] : ["rr client;", `rr cluster id ${reflectorClusterId};`]),
    "graceful restart;",
    ...(restartSeconds === undefined ? [] : [`graceful restart time ${restartSeconds};`]),
    ...(keepaliveSeconds === undefined ? [] : [`keepalive time ${keepaliveSeconds};`]),
    ...(allowedLocalAsNumbers === undefined ? [] : [`allow local as ${allowedLocalAsNumbers};`]),
    "connect delay time 2;",
    "connect retry time 5;",
    "error wait time 5, 30;",
  ].map((line) => `  ${line}`);
}

function channel(snapshot: BgpSnapshot, session: Session): readonly string[] {
  const { filters, family, isInternal, nextHop, localAs, remoteAs } = session;
  const isMissing = missingFilters(snapshot, session).length > 0;
  const called = (direction: "import" | "export") =>
    filters.map((name) => `${filterFunction(name, direction, family)}(${localAs !== remoteAs});`);
  const imports =
    filters.length === 0 ? "import all;" : `import filter { ${[...called("import"), "accept;"].join(" ")} };`;
  const exported = [...called("export"), `export${family}(${isInternal});`, "reject;"].join(" ");
  const routes = isMissing ? ["import none;", "export none;"] : [imports, `export filter { ${exported} };`];
  return [
    ...routes,
    ...(nextHop === undefined ? [] : [`next hop ${nextHop};`]),
    "gateway recursive;",
    "add paths on;",
  ].map((line) => `    ${line}`);
}
