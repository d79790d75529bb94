import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, test } from "vitest";
import { descriptors } from "#plugins/descriptors";
import { programs } from "#plugins/programs";
import { lintPlugin } from "../../../src/cli/lint/plugin.ts";
import { root } from "../../lib/suite.ts";

/** These call specific plugins, after specific evidence: a new plugin does not concern them. */
const workloads = ["scripts/build/training.ts", "scripts/fuzz/seeds.ts", "src/cli/doctor/repairing.ts"];
const names = descriptors.map(({ name }) => name);

test("descriptors: each directory of plugins/ is in the list, and main plugins come first", () => {
  expect([...names].sort()).toEqual(readdirSync(join(root, "plugins")).sort());
  expect(descriptors[0]).toMatchObject({ name: "calico", role: "main" });
});

test.each(descriptors)(
  "descriptor of $name: has the files that it stands for, and the plugin bears its name",
  ({ name }) => {
    const files = ["schema.ts", "conf.ts", "main.ts", "README.md"].map((file) => join(root, "plugins", name, file));
    expect(files.filter((file) => !existsSync(file))).toEqual([]);
    expect(programs[name].name).toBe(name);
    expect(readFileSync(join(root, "plugins", name, "README.md"), "utf8")).toContain(`<!-- keys:${name} -->`);
  },
);

test.each(descriptors)(
  "descriptor of $name: its snippet is an entry without a finding",
  ({ name, role, snippet, capabilities }) => {
    const declared = Object.fromEntries(capabilities.map((capability) => [capability.name, true]));
    const plugin = { type: name, ...snippet };
    const entry = role === "ipam" ? { type: "calico", ipam: plugin } : { ...plugin, capabilities: declared };
    expect(lintPlugin({ cniVersion: "1.0.0", name: "net1", ...entry }, "plugins[0]")).toEqual([]);
  },
);

test("descriptors: no two plugins own the same name, nor a prefix of the other's", () => {
  for (const kind of ["tables", "hostInterfaces", "devices", "locks"] as const) {
    const all = descriptors.flatMap(({ name, traces }) => traces[kind].map((text) => ({ name, text })));
    const shared = all.flatMap((one) => all.filter((other) => other.name !== one.name && other.text === one.text));
    expect(shared, kind).toEqual([]);
  }
});

test("descriptors: a feature needs another's name, and names are unique", () => {
  const features = descriptors.flatMap((descriptor) => descriptor.features);
  const known = features.map(({ name }) => name);
  expect(new Set(known).size).toBe(known.length);
  expect(features.filter(({ needs }) => needs !== undefined && !known.includes(needs))).toEqual([]);
});

test("descriptors: no other file lists plugins' names", () => {
  const found = ["src", "plugins", "scripts", "test/lib"]
    .flatMap((directory) => sources(join(root, directory)))
    .flatMap(listsIn);
  expect(found.sort()).toEqual([...workloads].sort());
});

test("listsIn() finds a list, a union and an object's keys, and no two names that stand together", () => {
  const [one, other, third] = names;
  expect(namesListed(`const all = ["${one}", "${other}", "${third}"];`)).toBe(3);
  expect(namesListed(`type Name = "${one}" | "${other}"\n  | "${third}";`)).toBe(3);
  expect(namesListed(`const all = { ${one}: 1,\n  "${other}": 2, ${names.at(-1)}: 3 };`)).toBe(3);
  expect(namesListed(`for (const name of "${names.join(" ")}".split(" "))`)).toBe(names.length);
  expect(namesListed(`type === "${one}" || type === "${other}"`)).toBeLessThan(3);
});

/** Files with three or more names in one bracket or list of words. */
function listsIn(path: string): readonly string[] {
  const text = readFileSync(path, "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  return namesListed(text) > 2 ? [relative(root, path)] : [];
}

/** The maximum number of names in one list. */
function namesListed(text: string): number {
  // Parentheses in a list do not end it.
  const flat = [text, text.replace(/\([^()]*\)/g, "")];
  const lists = flat.flatMap((one) => [
    ...one.matchAll(/[[{(][^[\]{}()]*[\]})]|(?:"[\w-]+"\s*\|\s*)+"[\w-]+"|"[\w -]+"/g),
  ]);
  const count = (list: string) =>
    names.filter((name) => new RegExp(`(^|[^\\w-])${name}(?![\\w-])`).test(list.replace(/from "[^"]*"/g, ""))).length;
  return Math.max(0, ...lists.map(([list]) => count(list)));
}

function sources(directory: string): readonly string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}
