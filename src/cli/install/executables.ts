/**
 * The executables in the runtime's directory: one file with a name for each plugin.
 *
 *     <from>/calico ── copy ──► <bin-dir>/.tortie-<digits> ── link, rename ──► calico, calico-ipam, portmap, …
 *
 * **One file**: `calico` runs `calico-ipam` in its own process if both names are one inode. **By rename**: a plugin that a runtime starts meanwhile is
 * either the old file or the new one. A process killed in between leaves some names at the old file, and a temporary file, which the next run
 * removes.
 */
import type { Cli } from "../cli.ts";
import { type Executable, gatherExecutables, ownBuild, siblingDirectories } from "../doctor/executables.ts";
import { ourNames } from "../doctor/networks.ts";
import { CliError, failed } from "../error.ts";
import { listed } from "../ui/listed.ts";
import type { PluginVersions } from "./offered-versions.ts";

export interface Source {
  readonly path: string;
  /** `0.1.0, commit 0123456789ab`. */
  readonly build: string;
  /** The versions of the protocol that it supports. */
  readonly versions: readonly string[];
}

export type State = "missing" | "ours" | "current" | "foreign";

export interface Target {
  readonly name: string;
  readonly path: string;
  readonly state: State;
  /** `undefined` if it is not ours. */
  readonly build: string | undefined;
  /** A file that does not answer like a plugin. Its origin is unknown, so it counts as foreign. */
  readonly isSilent: boolean;
}

/**
 * Only reads: from `from`, or from beside this command, or from `binDir`, where an interrupted installation may have left the file. Throws `CliError`
 * if there is no executable of ours to install.
 */
export async function findSource(cli: Cli, from: string | undefined, binDir: string): Promise<Source> {
  const directories = from === undefined ? [...siblingDirectories(cli), binDir] : [from];
  const found: Executable[] = [];
  for (const directory of directories) {
    const executable = (await lookAt(cli, directory)).find(({ name }) => name === first);
    if (executable?.path === undefined) continue;
    found.push(executable);
    const { path, build, versions, fault } = executable;
    // An installed build is not a source for an upgrade, unless `from` names its directory.
    const isMeant = directory !== binDir || directory === from || build === ownBuild;
    if (fault === undefined && build !== undefined && isMeant) return { path, build, versions };
  }
  throw new CliError(noSource(found[0], directories, from, binDir));
}

const [first = ""] = ourNames;

function noSource(
  found: Executable | undefined,
  directories: readonly string[],
  from: string | undefined,
  binDir: string,
): string {
  if (found?.path === undefined) {
    if (from !== undefined) return `cannot install "${from}/${first}": no such file`;
    return `cannot install: the plugins are not in the directory of this command, ${listed(directories, "or")}; pass --from with their directory, dist/bin after a build`;
  }
  const { path, fault, build } = found;
  const reason =
    fault !== undefined
      ? `it does not run on this machine: ${fault}`
      : build === undefined
        ? "it is not a plugin of Tortie"
        : `it is ${build}, and this command is ${ownBuild}`;
  const remedy =
    from === undefined || path.startsWith(`${binDir}/`)
      ? "; pass --from with the directory of the plugins, dist/bin after a build"
      : "";
  return `cannot install "${path}": ${reason}${remedy}`;
}

/** The files with the plugins' names. `current`: all that are not kept are one inode with the source's content. */
export async function readTargets(
  cli: Cli,
  binDir: string,
  source: Source | undefined,
  keep = false,
): Promise<readonly Target[]> {
  const found = await lookAt(cli, binDir);
  const targets = ourNames.map((name): Target => {
    const path = `${binDir}/${name}`;
    const executable = found.find((one) => one.name === name);
    const build = executable?.fault === undefined ? executable?.build : undefined;
    // Something that is not a file is not a plugin, but may belong to another program.
    const isThere = executable?.path !== undefined || cli.sys.stat(path) !== undefined;
    const isSilent = executable?.fault !== undefined;
    return { name, path, build, isSilent, state: !isThere ? "missing" : build === undefined ? "foreign" : "ours" };
  });
  const isKept = ({ state }: Target) => keep && state === "foreign";
  const due = targets.filter((target) => !isKept(target)).map(({ name }) => name);
  if (source === undefined || !isCurrent(cli, found, source, due)) return targets;
  return targets.map((target) => (isKept(target) ? target : { ...target, state: "current" }));
}

/** The protocol versions of the chain's plugins; omits plugins that are missing or do not answer. */
export async function askVersions(
  cli: Cli,
  binDir: string,
  types: readonly string[],
): Promise<readonly PluginVersions[]> {
  const { executables } = await gatherExecutables(cli, [binDir], types);
  return executables
    .filter(({ name }) => types.includes(name))
    .map(({ name, versions }) => ({ name, path: `${binDir}/${name}`, versions }));
}

/** Whether all these names are one file with the source's content. */
function isCurrent(cli: Cli, found: readonly Executable[], source: Source, names: readonly string[]): boolean {
  const ours = found.filter(({ name }) => names.includes(name));
  const [first] = ours;
  if (first?.path === undefined || ours.some(({ build, inode }) => build === undefined || inode !== first.inode)) {
    return false;
  }
  return (first.mode & 0o111) !== 0 && cli.files.digest(first.path) === cli.files.digest(source.path);
}

/** Links the source to the targets. The main plugin comes last, because runtimes execute it first. Throws `CliError`. */
export function linkExecutables(cli: Cli, binDir: string, source: Source, targets: readonly Target[]): void {
  const { sys, files } = cli;
  try {
    sys.makeDirs(binDir, 0o755);
    sweep(cli, binDir);
    if (targets.length === 0) return;
    const temporary = `${binDir}/${temporaryName(cli)}`;
    files.copy(source.path, temporary);
    try {
      for (const { path } of [...targets].reverse()) {
        const link = `${binDir}/${temporaryName(cli)}`;
        files.link(temporary, link);
        sys.rename(link, path);
      }
    } finally {
      sys.removeFile(temporary);
    }
    files.syncDirectory(binDir);
  } catch (error) {
    throw failed(`cannot install in "${binDir}"`, error);
  }
}

/** Removes the main plugin first, because runtimes execute it first. Throws `CliError`. */
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

function temporaryName({ sys }: Cli): string {
  const digits = [...sys.randomBytes(8)].map((byte) => byte.toString(16).padStart(2, "0"));
  return `.tortie-${digits.join("")}`;
}

function sweep({ sys }: Cli, directory: string): void {
  for (const name of sys.listDir(directory)) if (neighbourPattern.test(name)) sys.removeFile(`${directory}/${name}`);
}
