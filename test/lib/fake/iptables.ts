/**
 * iptables-save and iptables-restore of the legacy kind on a machine of the model: chains and rules by table, each restore one transaction per
 * table, strict about what exists.
 */
import type { RunOptions, RunResult } from "../../../src/host/sys.ts";
import type { FakeMachine } from "./sys.ts";

const families = { ip: "iptables", ip6: "ip6tables" } as const;
type Family = keyof typeof families;
type Chains = Map<string, string[]>;

const builtIn = {
  nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
  raw: ["PREROUTING", "OUTPUT"],
} as const;

export class FakeIptables {
  readonly #tables = new Map<string, Chains>();
  /** Text that iptables-save prints instead of a table: `ip nat`. */
  readonly unreadable = new Map<string, string>();

  /** `kind`: `-legacy` if plain `iptables` is another program on this node. */
  constructor(machine: FakeMachine, kind = "") {
    for (const directory of ["/usr", "/usr/sbin", "/proc/net"]) machine.files.makeDirs(directory, 0o755);
    for (const [family, program] of Object.entries(families) as [Family, string][]) {
      for (const table of ["nat", "raw"] as const) {
        this.#tables.set(`${family} ${table}`, new Map(builtIn[table].map((chain) => [chain, []])));
      }
      machine.files.replace(`/proc/net/${family}_tables_names`, "raw\nnat\n", 0o444);
      for (const name of ["save", "restore"]) machine.files.create(`/usr/sbin/${program}${kind}-${name}`, "", 0o755);
      machine.programs.set(`/usr/sbin/${program}${kind}-save`, () => ({ stdout: this.print(family) }));
      machine.programs.set(`/usr/sbin/${program}${kind}-restore`, (_, options) => this.#restore(family, options));
    }
  }

  /** The output of iptables-save. */
  print(family: Family): string {
    return ["raw", "nat"]
      .map((table) => this.unreadable.get(`${family} ${table}`) ?? this.#save(family, table))
      .join("");
  }

  /** Applies the rules of another program: `-A KUBE-SERVICES …`, `:KUBE-SERVICES - [0:0]`. */
  run(family: Family, table: "nat" | "raw", ...lines: readonly string[]): void {
    const { status, stderr } = this.#restore(family, { stdin: [`*${table}`, ...lines, "COMMIT"].join("\n") });
    if (status !== 0) throw new Error(stderr);
  }

  #save(family: Family, table: string): string {
    const chains = [...(this.#tables.get(`${family} ${table}`) ?? [])];
    const heads = chains.map(([name]) => `:${name} - [0:0]`);
    const rules = chains.flatMap(([name, own]) => own.map((rule) => `-A ${name} ${rule}`));
    return `${[`*${table}`, ...heads, ...rules, "COMMIT"].join("\n")}\n`;
  }

  #restore(family: Family, { stdin }: Pick<RunOptions, "stdin">): Partial<RunResult> {
    let table = "";
    let draft: Chains = new Map();
    for (const [at, line] of stdin.trim().split("\n").entries()) {
      try {
        if (line.startsWith("*")) {
          table = `${family} ${line.slice(1)}`;
          if (this.unreadable.has(table)) throw new Error("incompatible");
          draft = new Map([...(this.#tables.get(table) ?? [])].map(([name, rules]) => [name, [...rules]]));
        } else if (line === "COMMIT") this.#tables.set(table, draft);
        else change(draft, line);
      } catch (error) {
        return { status: 1, stderr: `iptables-restore: line ${at + 1} failed: ${(error as Error).message}` };
      }
    }
    return { status: 0 };
  }
}

function change(chains: Chains, line: string): void {
  const [, command = "", name = "", rest = ""] = /^(-\w|:)\s?(\S+)\s?(.*)$/.exec(line) ?? [];
  if (command === ":") {
    chains.set(name, []);
    return;
  }
  const rules = chains.get(name);
  if (rules === undefined) throw new Error(`no chain ${name}`);
  const target = / -j (\S+)/.exec(` ${rest}`)?.[1] ?? "";
  const isExtension = ["ACCEPT", "RETURN", "DNAT", "DROP", "MARK", "MASQUERADE"].includes(target);
  if (["-A", "-I"].includes(command) && !isExtension && !chains.has(target)) throw new Error(`no target ${target}`);
  switch (command) {
    case "-A":
      rules.push(rest);
      return;
    case "-I":
      rules.unshift(rest.replace(/^1 /, ""));
      return;
    case "-D":
      if (!rules.includes(rest)) throw new Error(`no rule ${line}`);
      rules.splice(rules.indexOf(rest), 1);
      return;
    case "-F":
      rules.length = 0;
      return;
    case "-X":
      if (rules.length > 0) throw new Error(`chain ${name} is not empty`);
      if ([...chains.values()].flat().some((rule) => rule.endsWith(`-j ${name}`))) throw new Error(`${name} is in use`);
      chains.delete(name);
      return;
    default:
      throw new Error(`the model does not know ${line}`);
  }
}
