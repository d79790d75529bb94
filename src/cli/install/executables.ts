/**
 * The executables in the runtime's directory: one file under five names.
 *
 *     <from>/calico ── copy ──► <bin-dir>/.tortie-<digits> ── link, rename ──► calico, calico-ipam, bandwidth, portmap, loopback
 *
 * **One file**: `calico` runs `calico-ipam` in its own process when both names are one inode. **By rename**: a plugin that a runtime starts
 * meanwhile is the old one or the new one, whole. A process that is killed in between leaves some names at the old file, and its own
 * neighbours, which the next one clears away.
 */
import type { Cli } from "../cli.ts";
import { type Executable, gatherExecutables } from "../doctor/executables.ts";
import { ourNames } from "../doctor/networks.ts";
import { CliError, failed } from "../error.ts";

export interface Source {
  readonly path: string;
  /** `0.1.0, commit 0123456789ab`. */
  readonly build: string;
}

export type State = "missing" | "ours" | "current" | "foreign";

export interface Target {
  readonly name: string;
  readonly path: string;
  readonly state: State;
  /** `undefined` when it is not ours. */
  readonly build: string | undefined;
}

/** Looks only. Throws `CliError` when there is no executable of ours to install. */
export async function findSource(cli: Cli, from: string | undefined): Promise<Source> {
  const directory = from ?? `${cli.files.ownDirectory ?? ""}/bin`;
  const [name = ""] = ourNames;
  const found = await lookAt(cli, directory);
  const executable = found.find((one) => one.name === name);
  const missing = from === undefined ? "pass --from with the directory of the executables, dist/bin after a build" : "";
  const refuse = (reason: string) =>
    new CliError(`cannot install "${directory}/${name}": ${reason}${missing === "" ? "" : `; ${missing}`}`);
  if (executable?.path === undefined) throw refuse("there is no such file");
  if (executable.fault !== undefined) throw refuse(`it does not run here: ${executable.fault}`);
  if (executable.build === undefined) throw refuse("it is not Tortie's");
  return { path: executable.path, build: executable.build };
}

/** What stands under our names in the directory; `current`: it is the source already, under one inode with the others. */
export async function lookAtTargets(cli: Cli, binDir: string, source: Source | undefined): Promise<readonly Target[]> {
  const found = await lookAt(cli, binDir);
  const targets = ourNames.map((name): Target => {
    const path = `${binDir}/${name}`;
    const executable = found.find((one) => one.name === name);
    const build = executable?.fault === undefined ? executable?.build : undefined;
    // What is neither a file nor a link to one is nobody's plugin, but somebody's.
    const isThere = executable?.path !== undefined || cli.sys.stat(path) !== undefined;
    return { name, path, build, state: !isThere ? "missing" : build === undefined ? "foreign" : "ours" };
  });
  return source === undefined || !isCurrent(cli, found, source)
    ? targets
    : targets.map((target) => ({ ...target, state: "current" }));
}

/** Never half: all names are one file, and it is the source. */
function isCurrent(cli: Cli, found: readonly Executable[], source: Source): boolean {
  const ours = found.filter(({ name }) => ourNames.includes(name));
  const [first] = ours;
  if (first?.path === undefined || ours.some(({ build, inode }) => build === undefined || inode !== first.inode)) {
    return false;
  }
  return (first.mode & 0o111) !== 0 && cli.files.digest(first.path) === cli.files.digest(source.path);
}

/** The targets get the source, the last of them the name that runtimes ask for first. Throws `CliError`. */
export function linkExecutables(cli: Cli, binDir: string, source: Source, targets: readonly Target[]): void {
  const { sys, files } = cli;
  try {
    sys.makeDirs(binDir, 0o755);
    sweep(cli, binDir);
    if (targets.length === 0) return;
    const neighbour = `${binDir}/${neighbourName(cli)}`;
    files.copy(source.path, neighbour);
    try {
      for (const { path } of [...targets].reverse()) {
        const link = `${binDir}/${neighbourName(cli)}`;
        files.link(neighbour, link);
        sys.rename(link, path);
      }
    } finally {
      sys.removeFile(neighbour);
    }
    files.syncDirectory(binDir);
  } catch (error) {
    throw failed(`cannot install in "${binDir}"`, error);
  }
}

/** The name that runtimes ask for first goes first. Throws `CliError`. */
export function removeExecutables(cli: Cli, binDir: string, targets: readonly Target[]): void {
  try {
    for (const { path } of targets) cli.sys.removeFile(path);
    if (cli.sys.stat(binDir) === undefined) return;
    sweep(cli, binDir);
    cli.files.syncDirectory(binDir);
  } catch (error) {
    throw failed(`cannot uninstall from "${binDir}"`, error);
  }
}

async function lookAt(cli: Cli, directory: string): Promise<readonly Executable[]> {
  return (await gatherExecutables(cli, [directory], [])).executables;
}

const neighbourPattern = /^\.tortie-[0-9a-f]{16}$/;

function neighbourName({ sys }: Cli): string {
  const digits = [...sys.randomBytes(8)].map((byte) => byte.toString(16).padStart(2, "0"));
  return `.tortie-${digits.join("")}`;
}

function sweep({ sys }: Cli, directory: string): void {
  for (const name of sys.listDir(directory)) if (neighbourPattern.test(name)) sys.removeFile(`${directory}/${name}`);
}
