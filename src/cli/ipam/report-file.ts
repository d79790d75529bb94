/** The file between `tortie ipam check -o` and `tortie ipam release --from-report`. */
import * as z from "zod";
import { nowMs } from "../../host/clock.ts";
import type { Allocation, Problem, ProblemKind, Report } from "../../ipam/check/report.ts";
import type { Cli } from "../cli.ts";
import { CliError, messageOf } from "../error.ts";
import { storeIdentity } from "./identity.ts";

export interface ReportFile extends Report {
  /** The version of this format. */
  readonly version: typeof formatVersion;
  /** Absent in a report of a cluster's nodes. */
  readonly node?: string | undefined;
  readonly store: string;
  /** RFC 3339. */
  readonly takenAt: string;
}

const formatVersion = 1;
/** Sandboxes come and go, so a report older than an hour is refused without --force. */
const maxAgeMs = 60 * 60_000;
/** In a cluster no lock keeps operations away: what is still there after the longest operation is not one in progress. */
const minAgeMs = 60_000;

const problemKinds = [
  "leaked address",
  "unknown address",
  "address outside pools",
  "leaked handle",
  "missing handle",
  "wrong handle count",
  "malformed block",
  "missing block",
  "stale affinity",
  "damaged object",
] as const satisfies readonly ProblemKind[];

const allocation: z.ZodType<Allocation> = z.object({
  address: z.string(),
  block: z.string(),
  handle: z.string(),
  sequenceNumber: z.string(),
  node: z.string(),
  owner: z.string(),
  state: z.enum(["in use", "leaked", "unchecked"]),
  reason: z.string(),
  isUnseen: z.literal(true).optional(),
});

const problem: z.ZodType<Problem> = z.object({
  kind: z.enum(problemKinds),
  subject: z.string(),
  object: z.object({ kind: z.string(), name: z.string() }).optional(),
  reason: z.string(),
});

/** Exported for programs that read reports: `z.toJSONSchema(reportSchema)`. */
const reportSchema: z.ZodType<ReportFile> = z.object({
  version: z.literal(formatVersion),
  node: z.string().optional(),
  store: z.string(),
  takenAt: z.iso.datetime(),
  allocations: z.array(allocation),
  problems: z.array(problem),
});

export async function makeReport(cli: Cli, { allocations, problems }: Report): Promise<ReportFile> {
  const takenAt = new Date(nowMs(cli.sys)).toISOString();
  const store = await storeIdentity(cli);
  return { version: formatVersion, ...nodeOf(cli), store, takenAt, allocations, problems };
}

function nodeOf({ cluster, node }: Cli): { readonly node?: string } {
  return cluster === undefined ? { node } : {};
}

/** Throws `CliError` if the file is not a report, or is from another node, store or boot. An old one, or in a cluster a new one, needs `force`. */
export async function readReport(cli: Cli, path: string, force: boolean): Promise<ReportFile> {
  const refuse = (reason: string) => new CliError(`cannot use report "${path}": ${reason}`);
  const report = parseReport(cli, path, refuse);
  const isNodes = report.node !== undefined && cli.cluster === undefined;
  if (isNodes && report.node !== cli.node) throw refuse(`it is from node "${report.node}", and this is "${cli.node}"`);
  if (report.store !== (await storeIdentity(cli))) {
    throw refuse("it is from another datastore, or from before the node's last boot; run tortie ipam check again");
  }
  const ageMs = nowMs(cli.sys) - Date.parse(report.takenAt);
  if (cli.cluster !== undefined && ageMs < minAgeMs && !force) {
    throw refuse(
      `it was taken ${Math.floor(ageMs / 1000)} s ago, and what it found may be operations in progress; wait until it is a minute old, or pass --force`,
    );
  }
  if (ageMs > maxAgeMs && !force) {
    throw refuse(
      `it was taken ${Math.floor(ageMs / 60_000)} minutes ago; run tortie ipam check again, or pass --force`,
    );
  }
  return report;
}

function parseReport(cli: Cli, path: string, refuse: (reason: string) => CliError): ReportFile {
  try {
    return reportSchema.parse(JSON.parse(cli.sys.readFile(path)));
  } catch (error) {
    if (error instanceof z.ZodError) {
      const [issue] = error.issues;
      throw refuse(`it is not a report of tortie ipam check: ${issue?.path.join(".")}: ${issue?.message}`);
    }
    throw refuse(messageOf(error));
  }
}
