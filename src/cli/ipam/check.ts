/** `tortie ipam check`, with the output of calicoctl. */
import { confirmedProblems } from "../../ipam/check/repair.ts";
import type { Allocation, Problem, ProblemKind, Report, Snapshot } from "../../ipam/check/report.ts";
import type { Cli } from "../cli.ts";
import { type ExitStatus, exitStatus, failed } from "../error.ts";
import { formatDocument } from "../resources/document-text.ts";
import { type Looked, look, lookAgain } from "./look.ts";
import { makeReport } from "./report-file.ts";

export interface CheckOptions {
  readonly showAllIps?: boolean | undefined;
  readonly showProblemIps?: boolean | undefined;
  /** Where to write the report; `-`: to stdout, instead of the text. */
  readonly output?: string | undefined;
}

/** How many lines are printed without an option for all. */
const maxShown = 10;

export async function checkCommand(cli: Cli, options: CheckOptions): Promise<ExitStatus> {
  const { snapshot, report } = await check(cli);
  const file = options.output === undefined ? "" : formatDocument(await makeReport(cli, report), "json");
  if (options.output === "-") cli.out(file);
  else cli.out(describe(snapshot, report, options));
  if (options.output !== undefined && options.output !== "-") writeReport(cli, options.output, file);
  return report.problems.length === 0 ? exitStatus.done : exitStatus.problems;
}

/**
 * To the first look operations in progress look like problems. Only problems that a second look confirms are reported: under the lock of a
 * node's files, or a little later in a cluster.
 */
async function check(cli: Cli): Promise<Looked> {
  const first = await look(cli);
  if (first.report.problems.length === 0) return first;
  const { snapshot, report } = await lookAgain(cli);
  return { snapshot, report: { ...report, problems: confirmedProblems([first.report], report) } };
}

function writeReport(cli: Cli, path: string, text: string): void {
  try {
    cli.sys.replaceFile(path, text, { mode: 0o600, durable: false });
  } catch (error) {
    throw failed(`cannot write the report to "${path}"`, error);
  }
}

interface Section {
  /** The line that calicoctl prints for the same step. */
  readonly scanning: string;
  readonly kinds: readonly { readonly kind: ProblemKind; readonly found: string }[];
}

const sections: readonly Section[] = [
  {
    scanning: "Scanning for damaged objects, and for malformed and missing blocks...",
    kinds: [
      { kind: "damaged object", found: "objects that cannot be read" },
      { kind: "malformed block", found: "malformed blocks" },
      { kind: "missing block", found: "missing blocks of which endpoints have addresses" },
    ],
  },
  {
    scanning: "Scanning for IPs that are allocated but not actually in use...",
    kinds: [{ kind: "leaked address", found: "IPs that are allocated in IPAM but not actually in use" }],
  },
  {
    scanning: "Scanning for IPs that are in use by a workload or node but not allocated in IPAM...",
    kinds: [
      {
        kind: "unknown address",
        found: "in-use IPs that are in active IP pools but have no corresponding IPAM allocation",
      },
      { kind: "address outside pools", found: "allocated IPs that are not in active IP pools" },
    ],
  },
  {
    scanning: "Scanning for IPAM handles with no matching IPs...",
    kinds: [{ kind: "leaked handle", found: "handles with no matching IPs" }],
  },
  {
    scanning: "Scanning for IPs with missing handle...",
    kinds: [
      { kind: "missing handle", found: "handles mentioned in blocks with no matching handle resource" },
      { kind: "wrong handle count", found: "handles with wrong counts" },
    ],
  },
  {
    scanning: "Scanning for affinities that do not match their blocks...",
    kinds: [{ kind: "stale affinity", found: "affinities that do not match their blocks" }],
  },
];

function describe(snapshot: Snapshot, { allocations, problems }: Report, options: CheckOptions): string {
  const lines = [
    "Checking IPAM for inconsistencies...",
    "",
    `Found ${snapshot.blocks.length} IPAM blocks.`,
    `IPAM blocks record ${allocations.length} allocations.`,
    ...(options.showAllIps === true ? allocations.map(describeAllocation) : []),
    `Found ${snapshot.pools.filter(({ disabled }) => !disabled).length} active IP pools.`,
    describeSight(snapshot),
  ];
  const unseen = allocations.filter(({ isUnseen }) => isUnseen).length;
  if (unseen > 0) lines.push(`Found ${unseen} allocations not checked: their sandboxes are not visible from here.`);
  for (const { scanning, kinds } of sections) {
    lines.push("", scanning);
    for (const { kind, found } of kinds) {
      const some = problems.filter((problem) => problem.kind === kind);
      lines.push(`Found ${some.length} ${found}.`, ...describeProblems(some, options.showProblemIps === true));
    }
  }
  return `${[...lines, "", `Check complete; found ${problems.length} problems.`].join("\n")}\n`;
}

function describeSight({ seen, endpoints, cluster }: Snapshot): string {
  const addresses = new Set(seen.map(({ address }) => address)).size;
  return cluster === undefined
    ? `Found ${endpoints.length} workload endpoints; ${addresses} IPs are seen on the node and in its namespaces.`
    : `Found ${cluster.endpoints} workload endpoints and ${cluster.nodes.size} nodes, which have ${addresses} IPs.`;
}

function describeAllocation({ address, owner, handle, state, reason }: Allocation): string {
  return `  ${address} ${state}: ${owner}, handle ${handle}: ${reason}`;
}

function describeProblems(problems: readonly Problem[], all: boolean): readonly string[] {
  const shown = all ? problems : problems.slice(0, maxShown);
  const more = problems.length - shown.length;
  const lines = shown.map(({ subject, reason }) => `  ${subject} ${reason}`);
  return more === 0 ? lines : [...lines, `  and ${more} more (--show-problem-ips)`];
}
