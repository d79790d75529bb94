/** The plugins' executables: their paths, whether they are ours, and their answers. */
import { descriptors } from "#plugins/descriptors";
import { isErrno } from "../../host/sys.ts";
import { commit, version } from "../../plugin/build-info.ts";
import type { Cli } from "../cli.ts";
import { messageOf } from "../error.ts";
import { type Network, type NetworkFacts, ourNames, ourNetworks } from "./networks.ts";
import { callPlugin } from "./plugin-call.ts";

export interface ExecutableFacts {
  /** As CNI_PATH. */
  readonly directories: readonly string[];
  readonly executables: readonly Executable[];
  /** Whether the plugins of this command's own archive are next to it, to be installed from there. */
  readonly areSiblings: boolean;
}

export interface Executable {
  readonly name: string;
  /** The path; `undefined` if it is in none of the directories. */
  readonly path: string | undefined;
  readonly mode: number;
  readonly inode: number;
  /** `0.1.0, commit 0123456789ab`; `undefined` if it is not ours. */
  readonly build: string | undefined;
  /** The protocol versions in its answer to VERSION. */
  readonly versions: readonly string[];
  /** Why it did not answer. */
  readonly fault: string | undefined;
}

/** The plugins that leave objects which outlive their process, in the order of a chain. */
export const suite = descriptors.filter(({ traces }) => traces.outlive).map(({ name }) => name);

/** The build of this command. */
export const ownBuild = `${version}, commit ${commit}`;

/** The directories of the plugins that belong to this command: in a build, and in an unpacked archive. */
export function siblingDirectories({ files: { ownDirectory } }: Cli): readonly string[] {
  return ownDirectory === undefined ? [] : [`${ownDirectory}/bin`, ownDirectory];
}

const answerMs = 10_000;

export async function gatherExecutables(
  cli: Cli,
  directories: readonly string[],
  types: readonly string[],
): Promise<ExecutableFacts> {
  const all = [...new Set([...ourNames, ...types])];
  return {
    directories,
    executables: await Promise.all(all.map((name) => lookAt(cli, directories, name))),
    areSiblings: siblingDirectories(cli).some((directory) => cli.sys.stat(`${directory}/calico`)?.kind === "file"),
  };
}

/** The path of our executable; `undefined` if it is missing, foreign or does not answer. */
export function ourExecutable({ executables }: ExecutableFacts, name: string): string | undefined {
  const found = executables.find((one) => one.name === name);
  return found?.build !== undefined && found.fault === undefined ? found.path : undefined;
}

/** Whether it is missing or does not answer, as far as it was checked. */
export function isFaulty({ executables }: ExecutableFacts, name: string): boolean {
  return executables.some((one) => one.name === name && (one.path === undefined || one.fault !== undefined));
}

export function supportsVersion({ executables }: ExecutableFacts, name: string, cniVersion: string): boolean {
  return executables.some((one) => one.name === name && one.versions.includes(cniVersion));
}

/** The networks to check: those whose executables are ours. */
export function networksOfOurs(networks: NetworkFacts, facts: ExecutableFacts): readonly Network[] {
  return ourNetworks(networks, (type) => ourExecutable(facts, type) !== undefined);
}

async function lookAt(cli: Cli, directories: readonly string[], name: string): Promise<Executable> {
  const nothing = { name, path: undefined, mode: 0, inode: 0, build: undefined, versions: [], fault: undefined };
  const path = directories.map((directory) => `${directory}/${name}`).find((one) => cli.sys.stat(one)?.kind === "file");
  const stat = path === undefined ? undefined : cli.sys.stat(path);
  if (path === undefined || stat === undefined) return nothing;
  const found = { ...nothing, path, mode: stat.mode, inode: stat.inode };
  if ((stat.mode & 0o111) === 0) return { ...found, fault: "it is not executable" };
  try {
    const [build, versions] = await Promise.all([buildOf(cli, path, name), versionsOf(cli, path, directories)]);
    return { ...found, build, versions };
  } catch (error) {
    const reason = isErrno(error, "ENOENT") ? "its interpreter is missing" : messageOf(error);
    return { ...found, fault: reason };
  }
}

/** Foreign plugins may print anything, on either stream. */
async function buildOf(cli: Cli, path: string, name: string): Promise<string | undefined> {
  const { stdout } = await cli.execute([path, "-v"], { env: {}, stdin: "", timeoutMs: answerMs });
  const [, known, release, revision] = /^(\S+) (\S+) \(Tortie\), commit ([^,\s]+),/.exec(stdout) ?? [];
  return known === name ? `${release}, commit ${revision}` : undefined;
}

async function versionsOf(cli: Cli, path: string, directories: readonly string[]): Promise<readonly string[]> {
  const document = { cniVersion: "1.0.0" };
  const call = { path, command: "VERSION", pluginPath: directories.join(":"), document } as const;
  const { stdout } = await callPlugin(cli, call, answerMs);
  try {
    const { supportedVersions } = JSON.parse(stdout) as { readonly supportedVersions?: readonly string[] };
    if (Array.isArray(supportedVersions)) return supportedVersions;
  } catch {
    // Reported below.
  }
  throw new Error(`it answers VERSION with ${stdout === "" ? "nothing" : JSON.stringify(stdout.slice(0, 100))}`);
}
