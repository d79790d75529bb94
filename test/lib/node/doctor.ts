/**
 * Runs `tortie doctor` on a private node, for tests that leave something broken.
 *
 *     const before = doctor(node);                         // { exitCode: 0, findings: [] } on a healthy node
 *     … a process is killed …
 *     expect(doctor(node).findings.map(({ id }) => id)).toEqual(["attachment-left"]);
 *     expect(doctor(node, { fix: true }).exitCode).toBe(0);
 *
 * The grace period is 0 by default: on a private node the doctor recognizes a plugin at work by its process, and leaves its attachment alone.
 * A run takes a third of a second on an idle machine, plus three short programs per pod; if it finds something it looks twice, with `fix` four
 * times.
 *
 * **It needs the network's configuration** to recreate what pods need (`conflist`, a path; conf-examples/10-calico.conflist by default). It
 * writes nothing to the node's /etc, so snapshots before and after are equal.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { DoctorReport } from "../../../src/cli/doctor/report.ts";
import { example, pluginDirs, root } from "../suite.ts";
import type { Node } from "./netns.ts";

export type DoctorFinding = DoctorReport["findings"][number];

export interface Doctored {
  /** 0: healthy, 3: there are findings. */
  readonly exitCode: number;
  readonly findings: readonly DoctorFinding[];
  /** Skipped checks, with the reasons. */
  readonly remarks: readonly string[];
  /** What `--fix` did and could not do, a line each. */
  readonly notes: readonly string[];
}

export interface DoctorOptions {
  readonly fix?: boolean;
  /** The IDs of the findings to repair; all if absent. */
  readonly only?: readonly string[];
  /** Grace period in seconds; 0 if absent. */
  readonly grace?: number;
  /** The network's configuration file. */
  readonly conflist?: string;
  readonly binDirs?: readonly string[];
  /** Whether it may send packets; true if absent. */
  readonly probe?: boolean;
}

const program = join(root, "dist/tortie.js");

/** Throws if the doctor itself fails. */
export function doctor(node: Node, options: DoctorOptions = {}): Doctored {
  if (!existsSync(program)) throw new Error(`cannot test: ${program} is missing; run "npm run build"`);
  const {
    fix = false,
    only = [],
    grace = 0,
    conflist = example("10-calico.conflist"),
    binDirs = pluginDirs,
    probe = true,
  } = options;
  const confDir = mkdtempSync(join(tmpdir(), "tortie-doctor-"));
  try {
    copyFileSync(conflist, join(confDir, basename(conflist)));
    const argv = [process.execPath, program, "doctor", "-o", "json", "--grace", `${grace}`, "--conf-dir", confDir];
    const more = [
      ...binDirs.flatMap((dir) => ["--bin-dir", dir]),
      ...(fix ? ["--fix"] : []),
      ...only.flatMap((id) => ["--only", id]),
      ...(probe ? [] : ["--no-probe"]),
    ];
    const { status, signal, stdout, stderr } = node.run([...argv, ...more]);
    if (status !== 0 && status !== 3)
      throw new Error(`cannot run the doctor: ${signal ?? `status ${status}`}: ${stderr}`);
    const { findings, notes, repaired, failed } = JSON.parse(stdout) as DoctorReport;
    const remarks = notes.map(({ text, subjects }) =>
      [...(subjects.length === 0 ? [] : [subjects.join(", ")]), text].join(": "),
    );
    return { exitCode: status, findings, remarks, notes: [...repaired, ...failed] };
  } finally {
    rmSync(confDir, { recursive: true, force: true });
  }
}
