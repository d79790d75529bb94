/** The built operator's command, on a cluster's datastore. */
import { join } from "node:path";
import { execa } from "execa";
import { root } from "../suite.ts";

export interface CommandOutcome {
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs it to its end; `line` is split at spaces. */
export async function tortie(
  environment: Readonly<Record<string, string>>,
  line: string,
  input = "",
): Promise<CommandOutcome> {
  const args = [join(root, "dist/tortie.js"), ...line.split(" ").filter((word) => word !== "")];
  const { exitCode, stdout, stderr } = await execa(process.execPath, args, {
    env: { PATH: process.env.PATH ?? "", ...environment },
    extendEnv: false,
    input,
    reject: false,
    stripFinalNewline: false,
  });
  return { status: exitCode, stdout, stderr };
}
