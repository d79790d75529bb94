/**
 * `tortie doctor` on a private node, for whoever leaves a wreck there.
 *
 *     const before = doctor(node);                         // { exitCode: 0, findings: [] } on a node that is well
 *     … a process is killed …
 *     expect(doctor(node).findings.map(({ id }) => id)).toEqual(["attachment-left"]);
 *     expect(doctor(node, { fix: true }).exitCode).toBe(0);
 *
 * It asks with no grace: a plugin that is at work is told by its process, which is all there is on a private node. So call it when nothing
 * runs there that is not to be judged, or whenever you like: what is at work is left alone. A run takes a third of a second on an
 * idle machine, and three short programs more for each pod; after a wreck it looks twice, with `fix` four times.
 *
 * **It needs the network's configuration** to make anew what lives (`conflist`, a path; conf-examples/10-calico.conflist by default), for
 * nothing is written to the node's /etc: a snapshot taken before and after stays the same.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { DoctorReport } from "../../../src/cli/doctor/report.ts";
import { example, pluginDirs, root } from "../suite.ts";
import type { Node } from "./netns.ts";

export type DoctorFinding = DoctorReport["findings"][number];

export interface Doctored {
  /** 0: well, 3: something is wrong. */
  readonly exitCode: number;
  readonly findings: readonly DoctorFinding[];
  /** What was not checked, and why. */
  readonly remarks: readonly string[];
  /** What `--fix` did, a line each, and what it could not. */
  readonly notes: readonly string[];
}

export interface DoctorOptions {
  readonly fix?: boolean;
  /** Ids of what is repaired; all when absent. */
  readonly only?: readonly string[];
  /** Seconds; 0 when absent. */
  readonly grace?: number;
  /** The network's configuration file. */
  readonly conflist?: string;
  readonly binDirs?: readonly string[];
  /** Whether it may send packets; it may when absent. */
  readonly probe?: boolean;
}

const program = join(root, "dist/tortie.js");

/** Throws when the doctor itself fails. */
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
