/** The chains, and their processes, that the crash tests kill and fail at their steps. */
import { join } from "node:path";
import { descriptors } from "#plugins/descriptors";
import { type Conflist, loadConflist } from "../lib/conflist.ts";
import { example, root } from "../lib/suite.ts";

export interface Subject {
  readonly name: string;
  readonly list: Conflist;
  readonly faulty: readonly string[];
}

const list = loadConflist(example("10-calico.conflist"));
const withIptables = list.plugins.map((plugin) =>
  plugin.type === "portmap" ? { ...plugin, backend: "iptables" } : plugin,
);

/** Our other main plugins, in the chains of their conformance tests; the plugins after them behave as after `calico`. */
const otherMains = descriptors
  .filter(({ role, name }) => role === "main" && name !== "calico")
  .map(({ name }): Subject => {
    const { plugins, ...rest } = loadConflist(join(root, `test/conformance/${name}.conflist`));
    return { name, list: { ...rest, plugins: plugins.slice(0, 1) }, faulty: [name] };
  });

/** With portmap's other back end the other processes are the same. */
export const subjects: readonly Subject[] = [
  { name: "the chain", list, faulty: list.plugins.map(({ type }) => type) },
  { name: "portmap with iptables", list: { ...list, plugins: withIptables }, faulty: ["portmap"] },
  ...otherMains,
];
