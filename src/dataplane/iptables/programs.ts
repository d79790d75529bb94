/**
 * Runs `iptables-save` and `iptables-restore --noflush`, once per address family.
 *
 * A restore is one transaction per table and waits for the xtables lock; wait and run time are bounded.
 */

import { isErrno, type RunOptions, type RunResult, type Sys } from "../../host/sys.ts";
import type { TableFamily } from "../../net/address.ts";
import type { SavedTables } from "../../plan/iptables.ts";
import { CommandError, ConflictError, MissingError, systemCallError, TimeoutError } from "../errors.ts";
import { hasNftChain } from "../nftables/has.ts";

/**
 * Selects the programs: the node's default, or one kind. iptables-nft stores its tables in nf_tables, iptables-legacy has its own; neither
 * sees the other's.
 */
export type IptablesKind = "" | "-nft" | "-legacy";

const programs = { ip: "iptables", ip6: "ip6tables" } as const;
const directories = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
const waitSeconds = 30;
const testOption = "--test";
/** Beyond the wait for the lock: the kernel may be slow with a large rule set. */
const timeoutMs = (waitSeconds + 10) * 1000;

/**
 * All rules of the family; `undefined` if its programs are not installed. Throws `CommandError` if they fail, and `ConflictError` if a requested table has
 * rules that iptables cannot read: it then prints a remark instead of the table, and succeeds.
 */
export function saveIptables(family: TableFamily, sys: Sys, kind: IptablesKind = ""): SavedTables | undefined {
  const program = findProgram(`${programs[family]}${kind}-save`, sys);
  if (program === undefined) return undefined;
  const text = runProgram([program], "", sys);
  const unreadable = [...text.matchAll(/^# Table `(nat|raw)' is incompatible/gm)].map(([, table]) => table);
  // For IPv6, the table raw is not used.
  const [table] = unreadable.filter((one) => one === "nat" || family === "ip");
  if (table === undefined) return parseSaved(text);
  throw new ConflictError(
    ["read", `table ${table} of ${programs[family]}`],
    `it contains nft rules that iptables does not understand ("nft list table ${family} ${table}"); move them to another table`,
  );
}

/** Whether the family's programs are installed. */
export function hasIptables(family: TableFamily, sys: Sys): boolean {
  return findProgram(`${programs[family]}-restore`, sys) !== undefined;
}

/** Runs iptables-restore on lines that include `*nat` and `COMMIT`. Throws `CommandError` with the program's output. */
export function restoreIptables(
  family: TableFamily,
  lines: readonly string[],
  sys: Sys,
  kind: IptablesKind = "",
): void {
  restore(`${programs[family]}${kind}-restore`, lines, [], sys);
}

/** Like `restoreIptables` with --test: changes nothing, but makes the kernel load the extensions. */
export function testIptables(family: TableFamily, lines: readonly string[], sys: Sys): void {
  restore(`${programs[family]}-restore`, lines, [testOption], sys);
}

function restore(name: string, lines: readonly string[], options: readonly string[], sys: Sys): void {
  const program = findProgram(name, sys);
  if (program === undefined) {
    throw new MissingError(["change", "iptables"], `${name} is not in PATH nor in ${directories.join(", ")}`);
  }
  runProgram([program, ...options, "--noflush", "--wait", String(waitSeconds)], `${lines.join("\n")}\n`, sys);
}

/**
 * Whether the family's nat table may have this chain, without running a program. For iptables-legacy only the names of tables are readable.
 */
export function mayHaveNatChain(family: TableFamily, chain: string, sys: Sys): boolean {
  return hasNftChain(family, "nat", chain, sys) || hasLegacyNat(family, sys);
}

/** Whether iptables-legacy has a table nat. */
export function hasLegacyNat(family: TableFamily, sys: Sys): boolean {
  const names = `/proc/net/${family}_tables_names`;
  return sys.stat(names) !== undefined && sys.readFile(names).split("\n").includes("nat");
}

export function parseSaved(text: string): SavedTables {
  const tables: { [table: string]: string[] } = { nat: [], raw: [] };
  let table = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("*")) table = line.slice(1);
    else if (line.startsWith(":") || line.startsWith("-A ")) tables[table]?.push(line);
  }
  return { nat: tables.nat ?? [], raw: tables.raw ?? [] };
}

function findProgram(name: string, sys: Sys): string | undefined {
  const searched = [
    ...directories,
    ...(sys.environment().PATH ?? "").split(":").filter((directory) => directory.startsWith("/")),
  ];
  return searched.map((directory) => `${directory}/${name}`).find((path) => sys.stat(path)?.kind === "file");
}

function runInTime(argv: readonly string[], options: RunOptions, sys: Sys): RunResult {
  try {
    return sys.run(argv, options);
  } catch (error) {
    if (!isErrno(error, "ETIMEDOUT")) throw systemCallError(["run", `${argv[0]}`], error);
    throw new TimeoutError(["run", `${argv[0]}`], timeoutMs, "end");
  }
}

function runProgram(argv: readonly string[], stdin: string, sys: Sys): string {
  const env = { PATH: directories.join(":"), LC_ALL: "C" };
  const { status, stdout, stderr } = runInTime(argv, { env, stdin, timeoutMs }, sys);
  // In a test iptables-legacy 1.8.9 only warns of what then fails.
  const isWarned = argv.includes(testOption) && stderr.includes("missing kernel module");
  if (status === 0 && !isWarned) return stdout;
  throw new CommandError(argv, { status, stderr });
}
