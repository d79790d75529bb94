/** The problems that `tortie ipam check` finds, except those of attachments that are checked as a whole. */
import type { Problem, ProblemKind, Report } from "../../ipam/check/report.ts";
import { handleIdOf } from "../../ipam/model/handle.ts";
import { hostPrefix } from "../../net/prefix.ts";
import { handleName } from "../../store/object-name.ts";
import type { Finding } from "./finding.ts";
import type { Trace } from "./sandboxes.ts";

/** `others`: attachments whose addresses their DEL releases, or that are not checked now. `repairable`: problems that a command can repair. */
export function checkAddresses(
  report: Report,
  others: readonly Trace[],
  repairable: ReadonlySet<Problem>,
): readonly Finding[] {
  const handles = new Set(others.map(({ attachment }) => handleIdOf(attachment)));
  const addresses = new Set(others.flatMap(({ allocations }) => allocations.map(({ address }) => address)));
  const damaged = new Set(
    report.problems.filter(({ kind }) => kind === "damaged object").map(({ subject }) => subject),
  );
  const isTheirs = ({ kind, subject }: Problem) =>
    kind === "leaked address"
      ? addresses.has(subject)
      : ["leaked handle", "missing handle", "wrong handle count"].includes(kind) && handles.has(subject);
  // An unreadable handle is not reported as missing as well.
  const isDamage = ({ kind, subject }: Problem) =>
    kind === "missing handle" && damaged.has(`IPAMHandle ${handleName(subject)}`);
  // The unreadable pool may contain it.
  const isInDoubt = ({ kind }: Problem) => kind === "address outside pools" && hasDamagedPool(report);
  return report.problems
    .filter((problem) => !isTheirs(problem) && !isDamage(problem) && !isInDoubt(problem))
    .map((problem) => findingOf(problem, repairable.has(problem)));
}

export function hasDamagedPool({ problems }: Report): boolean {
  return problems.some(({ object }) => object?.kind === "IPPool");
}

/** Remedies that an operator must choose, by kind of problem. */
const waysOut: Readonly<Partial<Record<ProblemKind, (address: string) => string>>> = {
  "address outside pools": () => "# tortie apply a pool that contains it, or stop the program that uses it",
  "unknown address": (address) =>
    `# take ${address} from that interface, so that pods can have it; to keep it there, apply an IPReservation with reservedCIDRs ["${hostPrefix(address)}"]`,
};

/** Kinds whose content cannot be derived from other objects. */
function isSetting(kind: string): boolean {
  return kind === "IPPool" || kind === "IPReservation" || kind === "IPAMConfig";
}

function findingOf(problem: Problem, isRepairable: boolean): Finding {
  const { kind, subject, object, reason } = problem;
  const finding = {
    id: kind.replaceAll(" ", "-"),
    section: "addresses",
    severity: "error",
    subject,
    text: reason,
  } as const;
  if (object !== undefined && isSetting(object.kind)) {
    // An administrator's settings are stored nowhere else.
    const command = `tortie delete ${object.kind.toLowerCase()} ${object.name} --force`;
    const remedy = `# "tortie apply --force -f FILE" replaces it, "${command}" deletes it; both keep the damaged file in the same directory; until then every ADD fails`;
    return { ...finding, remedy };
  }
  if (!isRepairable) return { ...finding, remedy: waysOut[kind]?.(subject) ?? `# look at ${subject}: ${reason}` };
  return {
    ...finding,
    remedy: "tortie ipam check -o report.json; tortie ipam release --from-report report.json",
    fix: { kind: "address", problem },
  };
}
