/** The report: text for people, and JSON for programs. */
import { createColors } from "picocolors";
import * as z from "zod";
import type { Cli } from "../cli.ts";
import { formatDocument } from "../resources/document-text.ts";
import type { Diagnosis } from "./diagnosis.ts";
import { type Finding, type Note, type Section, type Step, sections } from "./finding.ts";
import { plural } from "./plural.ts";

/** Exported for programs that read it: `z.toJSONSchema(doctorReport)`. */
const doctorReport = z.object({
  version: z.literal(1),
  node: z.string(),
  /** RFC 3339. */
  takenAt: z.iso.datetime(),
  /** Whether there is no error; warnings are harmless at present. */
  healthy: z.boolean(),
  findings: z.array(
    z.object({
      id: z.string(),
      section: z.enum(sections),
      severity: z.enum(["error", "warning"]),
      subject: z.string(),
      text: z.string(),
      remedy: z.string(),
      /** Whether `--fix` repairs it. */
      fixable: z.boolean(),
    }),
  ),
  /** What was not checked, and why. */
  notes: z.array(z.object({ section: z.enum(sections), text: z.string(), subjects: z.array(z.string()) })),
  /** What `--fix` did, one line each. */
  repaired: z.array(z.string()),
  /** What `--fix` could not do, with the reasons. */
  failed: z.array(z.string()),
});

export type DoctorReport = z.infer<typeof doctorReport>;

export type Done = Pick<DoctorReport, "repaired" | "failed">;

export function reportOf(cli: Cli, { findings, notes }: Diagnosis, { repaired, failed }: Done): string {
  const { seconds } = cli.sys.wallClock();
  const report: DoctorReport = {
    version: 1,
    node: cli.node,
    takenAt: new Date(seconds * 1000).toISOString(),
    healthy: findings.every(({ severity }) => severity !== "error"),
    findings: findings.map(({ id, section, severity, subject, text, remedy, fix }) => ({
      id,
      section,
      severity,
      subject,
      text,
      remedy,
      fixable: fix !== undefined,
    })),
    notes: [...groupsOf(notes)],
    repaired: [...repaired],
    failed: [...failed],
  };
  return formatDocument(report, "json");
}

const titles: Readonly<Record<Section, string>> = {
  kernel: "kernel",
  executables: "executables",
  networks: "network configuration",
  state: "state directories",
  locks: "locks",
  attachments: "attachments",
  firewall: "firewall",
  limits: "rate limits",
  addresses: "addresses",
  reach: "the paths of packets",
};

export interface ReportStyle {
  /** Whether to say how much `--fix` would repair. */
  readonly offer: boolean;
  /** Whether to list the commands for each finding, instead of one command per kind. */
  readonly verbose: boolean;
  readonly colours: boolean;
}

/** By a line's first word. */
const colourOf: Readonly<Record<string, "red" | "yellow" | "green" | "cyan">> = {
  FAIL: "red",
  WARNING: "yellow",
  OK: "green",
  NOTE: "cyan",
};
/** The caller has decided that the output has colours. */
const painters = createColors(true);

export function describeDiagnosis({ findings, overview, notes }: Diagnosis, view: ReportStyle): string {
  const { offer, colours } = view;
  const lines = sections.flatMap((section) => {
    const some = findings.filter((finding) => finding.section === section);
    const head = `Checking ${titles[section]}...`;
    const unchecked = groupsOf(notes.filter((one) => one.section === section)).map(describeNotes);
    if (some.length > 0) return [head, ...describeSome(some, view), ...unchecked];
    return [head, `  OK       ${overview[section] ?? ""}`.trimEnd(), ...unchecked];
  });
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const fixable = findings.filter((finding) => finding.fix !== undefined).length;
  const hint = fixable > 0 && offer ? `; tortie doctor --fix repairs ${fixable}` : "";
  const unchecked = notes.length === 0 ? "" : " NOTE lines say what was not checked.";
  lines.push(
    "",
    `Found ${plural(errors, "error")} and ${plural(findings.length - errors, "warning")}${hint}.${unchecked}`,
  );
  return `${(colours ? lines.map(painted) : lines).join("\n")}\n`;
}

function painted(line: string): string {
  const [, indent = "", word = ""] = /^( {2})([A-Z]+)(?= )/.exec(line) ?? [];
  const colour = colourOf[word];
  if (colour === undefined) return line;
  return `${indent}${painters[colour](word)}${line.slice(indent.length + word.length)}`;
}

interface NoteGroup {
  readonly section: Section;
  readonly text: string;
  readonly subjects: string[];
}

function groupsOf(notes: readonly Note[]): readonly NoteGroup[] {
  const groups = new Map<string, NoteGroup>();
  for (const { section, text, subject } of notes) {
    const group = groups.get(`${section} ${text}`) ?? { section, text, subjects: [] };
    if (subject !== "") group.subjects.push(subject);
    groups.set(`${section} ${text}`, group);
  }
  return [...groups.values()];
}

/** More names would make the line too long. */
const maxNamed = 3;

function describeNotes({ text, subjects }: NoteGroup): string {
  const more = subjects.length - maxNamed;
  const named = [...subjects.slice(0, maxNamed), ...(more > 0 ? [`${more} more`] : [])];
  return `  NOTE     ${[...(named.length === 0 ? [] : [named.join(", ")]), text].join(": ")}`;
}

/** After a runtime has lost a thousand pods, a node has a thousand findings with the same text. */
const maxShown = 10;

function describeSome(findings: readonly Finding[], { verbose }: ReportStyle): readonly string[] {
  const ids = [...new Set(findings.map(({ id }) => id))];
  return ids.flatMap((id) => {
    const some = findings.filter((finding) => finding.id === id);
    const more = some.length - maxShown;
    const isShort = ({ fix }: Finding) => fix !== undefined && !verbose;
    // A common remedy is printed once, after the last finding.
    const isRepeated = ({ remedy }: Finding, at: number) => some.slice(0, maxShown)[at + 1]?.remedy === remedy;
    return [
      ...some
        .slice(0, maxShown)
        .flatMap((one, at) => describeFinding(one, isShort(one) || isRepeated(one, at) ? [] : one.remedy.split("\n"))),
      ...(more > 0 ? [`           and ${more} more with id ${id} (-o json)`] : []),
      // One command repairs all findings of a kind.
      ...(some.some(isShort) ? remedyLines([`tortie doctor --fix --only ${id}`]) : []),
    ];
  });
}

function describeFinding({ severity, subject, text }: Finding, remedy: readonly string[]): readonly string[] {
  return [`  ${severity === "error" ? "FAIL   " : "WARNING"}  ${subject} ${text}`, ...remedyLines(remedy)];
}

function remedyLines(remedy: readonly string[]): readonly string[] {
  return remedy.map((line, index) => `           ${index === 0 ? "remedy:" : "       "} ${line}`);
}

/** One line for each step; of many similar steps the first few and a count. */
export function summarise(steps: readonly Step[]): readonly string[] {
  const kinds = new Map<string, string[]>();
  for (const { kind, text } of steps) {
    const group = kinds.get(kind);
    if (group === undefined) kinds.set(kind, [text]);
    else group.push(text);
  }
  return [...kinds].flatMap(([kind, group]) => {
    const more = group.length - maxLinesOfKind;
    return more <= 1 ? group : [...group.slice(0, maxLinesOfKind), `${kind} …: ${more} more (--verbose)`];
  });
}

const maxLinesOfKind = 3;
