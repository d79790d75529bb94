import { describe, expect, test } from "vitest";
import { linkDrivers } from "../../src/dataplane/drivers.ts";
import { Executor } from "../../src/dataplane/executor.ts";
import { exportsIn, type Import, importsIn, sourcesIn, textOf } from "../lib/imports.ts";

/**
 * The rooms, and what each may import: the direction of the design, as data. A room is a directory with those below it, or a single file; a path belongs to the
 * longest that matches. `*` is any one name, and each plugin is a room of its own. A room may always import itself. `#…` are modules that the build provides.
 */
const rooms: Readonly<Record<string, readonly string[]>> = {
  // Pure values.
  "src/errors": [],
  "src/net": [],
  "src/identity": ["src/net"],
  "src/schema": [],
  "src/cni": ["src/schema", "src/identity", "src/net"],
  "src/plan": ["src/identity", "src/net", "src/node-protocol"],

  // The operating system: the port `sys.ts`, QuickJS's implementation with its tools, and Node's.
  "src/host": [],
  "src/host/node": ["src/host"],
  "src/log": ["src/host"],

  // The kernel. The layout and the numbers of attributes are only for the codec. Others see an executor, the facts and the errors.
  "src/netlink": ["src/netlink/codec", "src/net"],
  "src/netlink/codec": ["src/net"],
  "src/dataplane": ["src/errors", "src/plan", "src/netlink", "src/host", "src/net"],

  // Stored objects.
  "src/store": ["src/schema", "src/identity", "src/errors", "src/host", "src/net", "#validators"],
  "src/store/schemas.ts": ["src/store", "src/net"],
  "src/store/cluster": ["src/store/etcd", "src/store/kubernetes", "src/store", "src/errors"],
  "src/store/etcd": ["src/store/cluster", "src/store"],
  "src/store/kubernetes": ["src/store/cluster", "src/store", "src/identity", "src/net"],
  "src/ipam": ["src/identity", "src/errors", "src/store", "src/net"],
  "src/endpoint": ["src/identity", "src/host", "src/net"],
  "src/cluster-network": ["src/ipam", "src/identity", "src/store", "src/node-protocol", "src/net"],

  // What programs of the node say to each other.
  "src/node-protocol": ["src/identity", "src/errors", "src/host", "src/net"],
  "src/net-protocol": ["src/plan", "src/errors", "src/net"],

  // Plugins. A plugin imports another one's main.ts only, to run it in its own process; none talks to a cluster's datastore.
  "src/plugin": [
    "src/schema",
    "src/identity",
    "src/errors",
    "src/cni",
    "src/plan",
    "src/dataplane/executor.ts",
    "src/dataplane/node-facts.ts",
    "src/endpoint",
    "src/host",
    "src/log",
    "src/net",
    "src/node-protocol",
  ],
  "src/plugin/schema.ts": ["src/plugin"],
  "plugins/*": [
    "plugins/*/main.ts",
    "src/identity",
    "src/errors",
    "src/plugin",
    "src/plugin/schema.ts",
    "src/cni",
    "src/plan",
    "src/dataplane/executor.ts",
    "src/dataplane/node-facts.ts",
    "src/dataplane/errors.ts",
    "src/endpoint",
    "src/ipam",
    "src/store",
    "src/log",
    "src/host",
    "src/net",
    "src/node-protocol",
    "#validators",
  ],

  // The other programs. Of a plugin, the operator's command sees what each has under the same name: what it declares, names, understands and plans.
  "src/tortie-net": ["src/net-protocol", "src/dataplane/node-executor.ts", "src/plugin", "src/errors", "src/host"],
  "src/agent": [
    "src/node-protocol",
    "src/net-protocol",
    "src/cluster-network",
    "src/plan",
    "src/identity",
    "src/errors",
    "src/ipam",
    "src/store",
    "src/store/cluster",
    "src/endpoint",
    "src/host",
    "src/host/node",
    "src/net",
    "src/plugin",
  ],
  "src/cli": [
    "plugins/*/descriptor.ts",
    "plugins/*/names.ts",
    "plugins/*/conf.ts",
    "plugins/*/plan.ts",
    "#plugins",
    "src/schema",
    "src/identity",
    "src/errors",
    "src/ipam",
    "src/store",
    "src/store/schemas.ts",
    "src/store/cluster",
    "src/endpoint",
    "src/cluster-network",
    "src/host",
    "src/host/node",
    "src/net",
    "src/cni",
    "src/plan",
    "src/plugin",
    "src/log",
    "src/node-protocol",
  ],
};

/** What runs only on Node, never per pod: it may import packages and Node's modules, and the rest may import only its types. */
const forNode = [
  "src/host/node",
  "src/store/schemas.ts",
  "src/store/cluster",
  "src/store/etcd",
  "src/store/kubernetes",
  "src/plugin/schema.ts",
  "plugins/*/schema.ts",
  "src/agent",
  "src/cli",
];

const imports = ["src", "plugins"].flatMap(sourcesIn).flatMap(importsIn);
const internal = imports.filter(({ target }) => /^(src\/|plugins\/|#)/.test(target));

describe("layers", () => {
  test("finds the sources that it judges", () => {
    expect(imports.length).toBeGreaterThan(50);
  });

  test("each source is in a room", () => {
    expect(imports.filter(({ file }) => roomOf(file) === undefined).map(describeImport)).toEqual([]);
  });

  test("imports go down the table only", () => {
    expect(internal.filter((one) => !isInside(one) && entriesFor(one).length === 0).map(describeImport)).toEqual([]);
  });

  test("the table allows nothing that no file does", () => {
    const used = new Set(
      internal.flatMap((one) => entriesFor(one).map((entry) => `${roomOf(one.file)?.name} may import ${entry}`)),
    );
    const allowed = Object.entries(rooms).flatMap(([room, entries]) => entries.map((to) => `${room} may import ${to}`));
    expect(allowed.filter((one) => !used.has(one))).toEqual([]);
  });

  test("nothing on the per-pod path loads a package, a module of Node, or a file that may", () => {
    const external = imports.filter(
      ({ file, target, typeOnly }) =>
        !typeOnly && !isForNode(file) && (isForNode(target) || !/^(src\/|plugins\/|#)/.test(target)),
    );
    expect(external.map(describeImport)).toEqual([]);
  });
});

describe("dataplane", () => {
  test("the executor has four methods, and with show() five verbs", () => {
    const methods = Object.getOwnPropertyNames(Executor.prototype).filter((name) => name !== "constructor");
    expect(methods.sort()).toEqual(["apply", "diff", "list", "remove"]);
  });

  test("no file names a kind of link but its driver", () => {
    const kinds = Object.keys(linkDrivers);
    const named = sourcesIn("src/dataplane").flatMap((file) => {
      const isDriver = (kind: string) => file.endsWith(`/links/${kind}.ts`);
      return kinds
        .filter((kind) => textOf(file).includes(`"${kind}"`) && !isDriver(kind))
        .map((kind) => `${file}: ${kind}`);
    });
    expect(kinds).toContain("veth");
    expect(named).toEqual([]);
  });
});

describe("files", () => {
  test("import each other in no circle", () => {
    expect(circles()).toEqual([]);
  });

  test("export nothing that nobody imports", () => {
    const importers = ["src", "plugins", "scripts", "test", "build/plugins"].flatMap(sourcesIn).flatMap(importsIn);
    const used = new Set(importers.flatMap(({ target, names }) => names.map((name) => `${target} ${name}`)));
    const dead = ["src", "plugins"].flatMap(sourcesIn).flatMap((file) =>
      exportsIn(file)
        .filter((name) => !used.has(`${file} ${name}`) && !used.has(`${file} *`))
        .map((name) => `${file} ${name}`),
    );
    expect(dead).toEqual([]);
  });
});

interface Room {
  /** Its row. */
  readonly name: string;
  /** The path that the row's name matches: each plugin has its own. */
  readonly path: string;
}

function roomOf(path: string): Room | undefined {
  const matching = Object.keys(rooms).filter((name) => isIn(path, name));
  const name = matching.sort((one, other) => other.split("/").length - one.split("/").length)[0];
  return name === undefined ? undefined : { name, path: path.split("/").slice(0, name.split("/").length).join("/") };
}

/** Whether a path is the named file, or in the named directory. */
function isIn(path: string, name: string): boolean {
  const parts = path.split("/");
  return name.split("/").every((part, at) => part === parts[at] || (part === "*" && parts[at] !== undefined));
}

function isInside({ file, target }: Import): boolean {
  return roomOf(file)?.path === roomOf(target)?.path;
}

/** The entries of the importing room that allow the import: the imported room, or a file of it. */
function entriesFor(one: Import): readonly string[] {
  const room = roomOf(one.file);
  if (room === undefined || isInside(one)) return [];
  const to = roomOf(one.target)?.name ?? one.target.split("/")[0];
  return (rooms[room.name] ?? []).filter((entry) => entry === to || (entry.endsWith(".ts") && isIn(one.target, entry)));
}

function isForNode(path: string): boolean {
  return forNode.some((name) => isIn(path, name));
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

function describeImport({ file, target }: Import): string {
  return `${file} imports ${target}`;
}
