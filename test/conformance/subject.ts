/** The subject of the rows: a directory of plugins, and a conflist that gives each its role. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { execaSync } from "execa";
import { type Conflist, isNewer, type JsonObject, loadConflist } from "../lib/conflist.ts";
import { Node, systemPath } from "../lib/node/netns.ts";
import { example, goPluginDir, ourPluginDir, root } from "../lib/suite.ts";
import { type Dialect, dialectOf } from "./dialect.ts";

export type PluginConf = JsonObject & { readonly type: string };

/** The role of a plugin in the chain. Loopback is separate: runtimes call it on their own. */
export type Role = "main" | "ipam" | "bandwidth" | "portmap" | "loopback";

/** A single plugin as rows call it. */
export interface Part {
  readonly role: Role;
  readonly type: string;
  /** Its configuration; for an IPAM plugin that of the main plugin, as the specification requires. */
  readonly conf: PluginConf;
  readonly ifname: string;
  /** Whether it needs the result of preceding plugins. */
  readonly chained: boolean;
  /** The versions that it reports, oldest first. */
  readonly versions: readonly string[];
}

export interface Subject {
  /** The heading of its column. */
  readonly name: string;
  readonly dir: string;
  /** The conflist, in the newest version that all its plugins support. */
  readonly list: Conflist;
  readonly parts: readonly Part[];
  /** `undefined` if the suite does not know the IPAM plugin. */
  readonly dialect: Dialect | undefined;
  /** The values of portmap's key `backend`; only `undefined` if the plugin does not have this key. */
  readonly portmapBackends: readonly (string | undefined)[];
}

export interface Source {
  readonly dir: string;
  readonly conflist: string;
  readonly name: string;
}

/** The conflist for the Go plugins: the equivalent of ours with `ptp` and `host-local`. */
export const referenceConflist = join(root, "test/conformance/reference.conflist");

/** This project's plugins, unless the environment selects others and their conflist. */
export function ownSource({ CONFORMANCE_PLUGINS: dir, CONFORMANCE_CONFLIST: conflist } = process.env): Source {
  if (dir === undefined && conflist === undefined) {
    return { dir: ourPluginDir, conflist: example("10-calico.conflist"), name: "Tortie" };
  }
  const where = resolve(dir ?? ourPluginDir);
  return { dir: where, conflist: conflist ?? conflistFor(where), name: dir ?? "Tortie" };
}

/** The reference plugins, from Debian's package or another directory. */
export function referenceSource(given = goPluginDir): Source {
  const dir = resolve(given);
  return { dir, conflist: conflistFor(dir), name: `reference ${versionIn(dir) ?? dir}` };
}

/** Our conflist if the directory has our main plugin, otherwise the reference's. */
export function conflistFor(dir: string): string {
  return existsSync(join(dir, "calico")) ? example("10-calico.conflist") : referenceConflist;
}

/** Throws if the directory lacks a plugin of the conflist, or one of them does not answer VERSION. */
export async function loadSubject(source: Source): Promise<Subject> {
  const node = await Node.start();
  try {
    return describe(source, node);
  } finally {
    await node.stop();
  }
}

function describe({ dir, conflist, name }: Source, node: Node): Subject {
  const list = loadConflist(conflist);
  const parts = partsOf(list, dir, node);
  const missing = parts.filter(({ type }) => !existsSync(join(dir, type)));
  if (missing.length > 0) {
    throw new Error(`cannot judge "${name}": ${missing.map(({ type }) => type).join(", ")} missing in ${dir}`);
  }
  const chain = parts.filter(({ role }) => role !== "loopback");
  const shared = (chain[0]?.versions ?? []).filter((one) => chain.every(({ versions }) => versions.includes(one)));
  const cniVersion = shared.sort((a, b) => (isNewer(a, b) ? -1 : 1))[0];
  if (cniVersion === undefined) throw new Error(`cannot judge "${name}": its plugins share no version`);
  const main = parts.find(({ role }) => role === "main");
  return {
    name,
    dir,
    list: { ...list, cniVersion },
    parts,
    dialect: dialectOf(ipamOf(main?.conf).type),
    portmapBackends: parts.some(({ role }) => role === "portmap")
      ? backendsOf(join(dir, "portmap"), cniVersion, node)
      : [],
  };
}

/** The same subject with that back end of its portmap. */
export function withBackend(subject: Subject, backend: string | undefined): Subject {
  if (backend === undefined) return subject;
  const changed = <T extends PluginConf>(conf: T): T => (conf.type === "portmap" ? { ...conf, backend } : conf);
  return {
    ...subject,
    list: { ...subject.list, plugins: subject.list.plugins.map(changed) },
    parts: subject.parts.map((part) => ({ ...part, conf: changed(part.conf) })),
    portmapBackends: [backend],
  };
}

export function ipamOf(conf: JsonObject | undefined): PluginConf {
  return conf?.ipam as PluginConf;
}

/** Whether the subject has a role of the chain, or an executable of that name. */
export function has({ parts, dir }: Subject, requirement: string): boolean {
  return parts.some(({ role }) => role === requirement) || existsSync(join(dir, requirement));
}

function partsOf({ plugins }: Conflist, dir: string, node: Node): readonly Part[] {
  const [main] = plugins;
  if (main === undefined) throw new Error("cannot judge a conflist without plugins");
  const part = (role: Role, conf: PluginConf, type = conf.type): Part => ({
    role,
    type,
    conf,
    ifname: role === "loopback" ? "lo" : "eth0",
    chained: role === "bandwidth" || role === "portmap",
    versions: versionsOf(join(dir, type), node),
  });
  const declares = (capability: string) =>
    plugins.find(({ capabilities }) => (capabilities as JsonObject | undefined)?.[capability] === true);
  const [bandwidth, portmap] = [declares("bandwidth"), declares("portMappings")];
  return [
    part("main", main),
    part("ipam", main, ipamOf(main).type),
    ...(bandwidth ? [part("bandwidth", bandwidth)] : []),
    ...(portmap ? [part("portmap", portmap)] : []),
    ...(existsSync(join(dir, "loopback")) ? [part("loopback", { type: "loopback" })] : []),
  ];
}

function versionsOf(path: string, node: Node): readonly string[] {
  if (!existsSync(path)) return [];
  const answer = ask(path, { CNI_COMMAND: "VERSION" }, { cniVersion: "1.0.0" }, node);
  if (Array.isArray(answer?.supportedVersions)) return answer.supportedVersions as readonly string[];
  throw new Error(`cannot ask ${path} for its versions`);
}

/** A plugin that knows the key refuses an invalid value. Nothing is mapped, so the call has no effect. */
function backendsOf(path: string, cniVersion: string, node: Node): readonly (string | undefined)[] {
  const env = { CNI_COMMAND: "ADD", CNI_CONTAINERID: "probe", CNI_NETNS: node.addPod("probe"), CNI_IFNAME: "eth0" };
  const request = { cniVersion, name: "probe", type: "portmap", backend: "none", prevResult: { cniVersion } };
  return ask(path, env, request, node)?.code === undefined ? [undefined] : ["nftables", "iptables"];
}

function ask(path: string, env: Record<string, string>, request: JsonObject, node: Node): JsonObject | undefined {
  const { stdout } = node.run([path], {
    env: { PATH: systemPath, CNI_PATH: "/none", ...env },
    stdin: JSON.stringify(request),
  });
  try {
    return JSON.parse(stdout);
  } catch {
    return undefined;
  }
}

/** The version of the Debian package that contains the plugins, `1.1.1`, or the one that a plugin itself reports, which Debian's do not. */
function versionIn(dir: string): string | undefined {
  const query = (...argv: string[]) => execaSync("dpkg-query", argv, { reject: false }).stdout ?? "";
  const name = query("--search", join(dir, "host-local")).split(":")[0];
  if (!name) {
    const options = { env: {}, extendEnv: false, reject: false } as const;
    const about = execaSync(join(dir, "host-local"), [], options).stderr ?? "";
    return /plugin v(\d\S*)/.exec(about)?.[1];
  }
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's language
  return query("--show", "--showformat", "${source:Upstream-Version}", name).replace(/[+~].*/, "");
}
