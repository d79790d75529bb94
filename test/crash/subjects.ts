/** The chains that the crash tests stop and fail at their steps, and whose processes. */
import { type Conflist, loadConflist } from "../lib/conflist.ts";
import { example } from "../lib/suite.ts";

export interface Subject {
  readonly name: string;
  readonly list: Conflist;
  readonly faulty: readonly string[];
}

const list = loadConflist(example("10-calico.conflist"));
const withIptables = list.plugins.map((plugin) =>
  plugin.type === "portmap" ? { ...plugin, backend: "iptables" } : plugin,
);

/** With portmap's other back end the other processes do the same. */
export const subjects: readonly Subject[] = [
  { name: "the chain", list, faulty: list.plugins.map(({ type }) => type) },
  { name: "portmap with iptables", list: { ...list, plugins: withIptables }, faulty: ["portmap"] },
];
