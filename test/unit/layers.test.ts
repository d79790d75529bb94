import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { linkDrivers } from "../../src/dataplane/drivers.ts";
import { Executor } from "../../src/dataplane/executor.ts";

/**
 * The allowed imports between directories: the direction of the design, as data. A directory may always import itself. The types of
 * `src/host/sys.ts` are open to all.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  "src/errors": [],
  "src/net": [],
  "src/identity": ["src/net"],
  "src/schema": [],
  "src/cni": ["src/schema", "src/identity", "src/errors", "src/net"],
  "src/netlink": ["src/errors", "src/net"],
  "src/host": [],
  "src/log": ["src/errors", "src/host"],
  "src/plan": ["src/identity", "src/errors", "src/net"],
  "src/dataplane": ["src/errors", "src/plan", "src/netlink", "src/host", "src/net"],
  "src/store": ["src/schema", "src/identity", "src/errors", "src/host", "src/net"],
  // Only for Node. Nothing below plugins/ may import them: no plugin talks to a cluster's datastore.
  "src/store/cluster": ["src/store/etcd", "src/store/kubernetes", "src/store", "src/errors"],
  "src/store/etcd": ["src/store/cluster", "src/store", "src/errors"],
  "src/store/kubernetes": ["src/store/cluster", "src/store", "src/identity", "src/errors", "src/net"],
  "src/ipam": ["src/identity", "src/errors", "src/store", "src/host", "src/net"],
  "src/endpoint": ["src/identity", "src/errors", "src/host", "src/net"],
  "src/plugin": [
    "src/schema",
    "src/identity",
    "src/errors",
    "src/cni",
    "src/plan",
    "src/dataplane",
    "src/endpoint",
    "src/host",
    "src/log",
    "src/net",
    "src/node-protocol",
  ],
  "src/cli": [
    "src/schema",
    "src/identity",
    "src/errors",
    "src/ipam",
    "src/store",
    "src/store/cluster",
    "src/endpoint",
    "src/host",
    "src/net",
    "src/cni",
    "src/plan",
    "src/plugin",
    "src/log",
    "src/node-protocol",
  ],
  "src/node-protocol": ["src/identity", "src/errors", "src/net"],
  "src/net-protocol": ["src/plan", "src/errors", "src/net"],
  "src/tortie-net": ["src/net-protocol", "src/dataplane", "src/plugin", "src/errors", "src/host"],
  // Only for Node, and only for itself: plugins know the agent by its protocol.
  "src/agent": [
    "src/node-protocol",
    "src/net-protocol",
    "src/plan",
    "src/identity",
    "src/errors",
    "src/ipam",
    "src/store",
    "src/store/cluster",
    "src/endpoint",
    "src/host",
    "src/net",
    "src/plan",
    "src/net-protocol",
    "src/plugin",
  ],
  plugins: [
    "src/schema",
    "src/identity",
    "src/errors",
    "src/plugin",
    "src/cni",
    "src/plan",
    "src/dataplane",
    "src/endpoint",
    "src/ipam",
    "src/store",
    "src/log",
    "src/host",
    "src/net",
    "src/node-protocol",
  ],
};

/** The file that every directory may import. */
const openFiles = ["src/host/sys.ts"];
/** What the operator's command shares with the node agent: how a cluster's nodes and pools are read. */
const sharedNetwork = /^src\/agent\/network\/network-(node|pool)\.ts$/;
/** What the node agent shares with a plugin: the tables that both keep. */
const sharedTables = "plugins/calico/nat-outgoing.ts";
/** The parts of a plugin that the operator's command may import: its schema and parser, its planner, and its names on a node. */
const configurations = /^plugins\/[^/]+\/(descriptor|schema|conf|plan|names|comment|nat-outgoing)\.ts$/;
/** The layout and the numbers of attributes: only for the codec. */
const codec = /^src\/netlink\/(attribute|attribute-writer|nftables\/numbers)\.ts$/;
/** What may be imported of the dataplane: by `tortie-net`, and by everything else. */
const faceOfDataplane = {
  "src/tortie-net": ["src/dataplane/node-executor.ts", "src/dataplane/errors.ts"],
  others: ["src/dataplane/executor.ts", "src/dataplane/node-facts.ts", "src/dataplane/errors.ts"],
} as const;
/** The only files that may import Node's or npm's modules: they never run on a node's per-pod path. */
const offThePath =
  /^src\/(host\/node(-programs)?\.ts|plugin\/schema\.ts|store\/schemas\.ts|store\/(cluster|etcd|kubernetes)\/|cli\/|agent\/)|^plugins\/[^/]+\/schema\.ts$/;
/** Modules that the build provides. */
const generated = /^#(plugins\/|validators\/|build-info)/;

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

interface Import {
  readonly file: string;
  readonly target: string;
  readonly typeOnly: boolean;
  /** Imports by name. */
  readonly names: readonly string[];
}

const imports = ["src", "plugins"].flatMap((directory) => sources(join(root, directory))).flatMap(importsOf);

describe("layers", () => {
  test("finds the sources that it judges", () => {
    expect(imports.length).toBeGreaterThan(50);
  });

  test("imports go down the table only", () => {
    expect(imports.filter(isForbidden).map(describeImport)).toEqual([]);
  });

  test("nothing on the per-pod path loads a package or a module of Node", () => {
    const external = imports.filter(
      ({ file, target, typeOnly }) =>
        !target.startsWith("src/") &&
        !target.startsWith("plugins/") &&
        !typeOnly &&
        !offThePath.test(file) &&
        !generated.test(target),
    );
    expect(external.map(describeImport)).toEqual([]);
  });

  test("nothing imports of the dataplane but an executor, the facts and the errors", () => {
    const inside = imports.filter(({ file, target }) => {
      const face: readonly string[] = faceOfDataplane[layerOf(file) === "src/tortie-net" ? "src/tortie-net" : "others"];
      return target.startsWith("src/dataplane/") && !file.startsWith("src/dataplane/") && !face.includes(target);
    });
    expect(inside.map(describeImport)).toEqual([]);
  });

  test("the executor has four methods, and with show() five verbs", () => {
    const methods = Object.getOwnPropertyNames(Executor.prototype).filter((name) => name !== "constructor");
    expect(methods.sort()).toEqual(["apply", "diff", "list", "remove"]);
  });

  test("nothing in the dataplane names a kind of link but its driver", () => {
    const kinds = Object.keys(linkDrivers);
    const named = sources(join(root, "src/dataplane")).flatMap((path) => {
      const text = readFileSync(path, "utf8");
      const isDriver = (kind: string) => path.endsWith(`/links/${kind}.ts`);
      return kinds.filter((kind) => text.includes(`"${kind}"`) && !isDriver(kind)).map((kind) => `${path}: ${kind}`);
    });
    expect(kinds).toContain("veth");
    expect(named).toEqual([]);
  });

  test("nothing outside src/netlink encodes or decodes attributes", () => {
    const outside = imports.filter(({ file, target }) => codec.test(target) && !file.startsWith("src/netlink/"));
    expect(outside.map(describeImport)).toEqual([]);
  });

  test("a plugin imports another one's main.ts only, to run it in its own process", () => {
    const across = imports.filter(
      ({ file, target }) =>
        file.startsWith("plugins/") &&
        target.startsWith("plugins/") &&
        target.split("/")[1] !== file.split("/")[1] &&
        !target.endsWith("/main.ts"),
    );
    expect(across.map(describeImport)).toEqual([]);
  });
});

describe("files", () => {
  test("import each other in no circle", () => {
    expect(circles()).toEqual([]);
  });

  test("export nothing that nobody imports", () => {
    const used = new Set(
      [...imports, ...importsOfTests()].flatMap(({ target, names }) => names.map((name) => `${target} ${name}`)),
    );
    const isUsed = (one: string) => used.has(one) || used.has(one.replace(/ .*/, " *")) || entries.test(one);
    const dead = everyExport().filter((one) => !isUsed(one));
    expect(dead).toEqual([]);
  });
});

/** Imports in text that becomes a program during the build: the executable's (scripts/build.ts), and the registry's (scripts/build/registry.ts). */
const entries =
  /^(src\/host\/quickjs\.ts quickjsSys|src\/plugin\/run\.ts runPlugin|src\/tortie-net\/main\.ts runTortieNet|plugins\/[^/]+\/(descriptor\.ts descriptor|plan\.ts planAdd))$/;

function importsOfTests(): readonly Import[] {
  return ["scripts", "test"].flatMap((directory) => sources(join(root, directory))).flatMap(importsOf);
}

/** Functions, constants and classes: `file name`. A type may exist only for the signature of a function. */
function everyExport(): readonly string[] {
  return ["src", "plugins"]
    .flatMap((directory) => sources(join(root, directory)))
    .flatMap((path) => {
      const text = readFileSync(path, "utf8");
      const found = text.matchAll(/^export (?:abstract )?(?:async )?(?:function\*?|const|class) (\w+)/gm);
      return [...found].map(([, name]) => `${relative(root, path)} ${name}`);
    });
}

/** Each as the files of the cycle; types count, because a reader has to follow them too. */
function circles(): readonly string[] {
  const targets = new Map<string, string[]>();
  for (const { file, target } of imports) targets.set(file, [...(targets.get(file) ?? []), target]);
  const found: string[] = [];
  const done = new Set<string>();
  const walk = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) found.push([...way.slice(way.indexOf(file)), file].join(" -> "));
    if (done.has(file) || way.includes(file)) return;
    for (const target of targets.get(file) ?? []) walk(target, [...way, file]);
    done.add(file);
  };
  for (const file of targets.keys()) walk(file, []);
  return found;
}

function isForbidden({ file, target }: Import): boolean {
  if (!target.startsWith("src/") && !target.startsWith("plugins/")) return false;
  const from = layerOf(file);
  const to = layerOf(target);
  if (from === "src/cli" && (configurations.test(target) || sharedNetwork.test(target))) return false;
  if (from === "src/agent" && target === sharedTables) return false;
  return from !== to && !openFiles.includes(target) && !(mayImport[from] ?? []).includes(to);
}

function layerOf(file: string): string {
  if (file.startsWith("plugins/")) return "plugins";
  const room = dirname(file).split("/").slice(0, 3).join("/");
  return room in mayImport ? room : dirname(file).split("/").slice(0, 2).join("/");
}

function describeImport({ file, target }: Import): string {
  return `${file} imports ${target}`;
}

function sources(directory: string): readonly string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

function importsOf(path: string): readonly Import[] {
  const file = relative(root, path);
  const text = readFileSync(path, "utf8");
  return [...text.matchAll(/^(?:import|export)\s+(type\s+)?(?:([^"';]*?)\sfrom\s+)?"([^"]+)";/gm)].map(
    ([, typeOnly, clause = "", specifier = ""]) => ({
      file,
      target: specifier.startsWith(".") ? relative(root, resolve(dirname(path), specifier)) : specifier,
      typeOnly: typeOnly !== undefined,
      names: [...clause.matchAll(/(?:[{,]|^)\s*(?:type\s+)?(\w+|\*)/g)].map(([, name = ""]) => name),
    }),
  );
}
