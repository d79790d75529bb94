/**
 * `tortie install`: copies the executables and a network configuration to where the runtime looks for them, or removes them.
 *
 * It checks everything before it changes anything, and leaves foreign files alone without `--force`. The configuration is installed last and
 * removed first, so that no runtime sees one without its plugins.
 */
import { listEndpoints } from "../../endpoint/endpoint.ts";
import type { Cli } from "../cli.ts";
import { ourNames } from "../doctor/networks.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { listed } from "../ui/listed.ts";
import { type Conflist, conflistsNaming, otherConflists, readConflist, withText, writeConflist } from "./conflist.ts";
import { offeredConflist, oldConflist } from "./environment.ts";
import {
  askVersions,
  findSource,
  linkExecutables,
  readTargets,
  removeExecutables,
  type Source,
  type Target,
} from "./executables.ts";
import { commonVersions } from "./offered-versions.ts";
import { describeRemains } from "./remains.ts";

export interface InstallOptions {
  readonly binDir: string;
  readonly confDir: string;
  readonly conflist?: string | undefined;
  readonly from?: string | undefined;
  readonly keep?: boolean | undefined;
  readonly force?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

export async function install(cli: Cli, options: InstallOptions): Promise<ExitStatus> {
  const { binDir, confDir, keep = false, force = false, dryRun = false } = options;
  const source = await findSource(cli, options.from, binDir);
  const wanted = offeredConflist(cli, options.conflist, confDir);
  const asked = wanted && readConflist(cli, wanted, confDir, force);
  const targets = await readTargets(cli, binDir, source, keep);
  if (!force) refuseForeign(binDir, targets, keep);
  const due = targets.filter(({ state }) => state !== "current" && (force || state !== "foreign"));
  const { conflist, notes } = await offered(cli, asked, { binDir, source, due });
  if (!force && conflist !== undefined) refuseDifferent(conflist);
  const tell = tellerOf(cli, dryRun);
  if (!dryRun) linkExecutables(cli, binDir, source, due);
  for (const target of targets) tell(`${target.path} ${doneWith(target, due.includes(target), source.build)}`);
  if (conflist !== undefined) {
    if (conflist.state !== "current" && !dryRun) writeConflist(cli, conflist);
    tell(`${conflist.path} ${{ missing: "written", different: "replaced", current: "unchanged" }[conflist.state]}`);
    const old = force && wanted !== undefined ? oldConflist(cli, wanted, confDir) : undefined;
    if (old !== undefined && cli.sys.stat(old) !== undefined) {
      if (!dryRun) cli.sys.removeFile(old);
      tell(`${old} removed`);
    }
    for (const line of [...notes, ...warningsOf(cli, conflist, binDir)]) cli.note(`tortie: ${line}`);
  }
  return exitStatus.done;
}

interface Installing {
  readonly binDir: string;
  readonly source: Source;
  /** The names that will be linked to the source. */
  readonly due: readonly Target[];
}

/** The configuration, limited to the versions that every plugin of its chain supports. */
async function offered(
  cli: Cli,
  conflist: Conflist | undefined,
  { binDir, source, due }: Installing,
): Promise<{ readonly conflist: Conflist | undefined; readonly notes: readonly string[] }> {
  if (conflist === undefined) return { conflist, notes: [] };
  const speakers = (await askVersions(cli, binDir, conflist.types)).map((one) =>
    due.some(({ name }) => name === one.name) ? { ...one, versions: source.versions } : one,
  );
  // The warnings below and `tortie doctor` report plugins that are missing or do not answer.
  const { text, notes } = commonVersions(
    conflist,
    speakers.filter(({ versions }) => versions.length > 0),
  );
  return { conflist: withText(conflist, text), notes };
}

export async function uninstall(cli: Cli, options: InstallOptions): Promise<ExitStatus> {
  const { binDir, confDir, force = false, dryRun = false } = options;
  const targets = await readTargets(cli, binDir, undefined);
  const ours = targets.filter(({ state }) => state === "ours");
  if (!force && ours.length > 0) refuseAttached(cli);
  const tell = tellerOf(cli, dryRun);
  const names = ours.map(({ name }) => name);
  // Other files may name a foreign portmap, so only names that no other suite uses count.
  const own = conflistsNaming(cli, confDir, names.filter(isOnlyOurs));
  const others = conflistsNaming(cli, confDir, names).filter(({ path }) => !own.some((one) => one.path === path));
  const remains = describeRemains(
    cli,
    own.map(({ path }) => path),
  );
  for (const { path } of own) {
    if (!dryRun) cli.sys.removeFile(path);
    tell(`${path} removed`);
  }
  if (!dryRun) removeExecutables(cli, binDir, ours);
  for (const { path } of ours) tell(`${path} removed`);
  for (const { path, build } of targets.filter(({ state }) => state === "foreign")) {
    tell(`${path} left alone: it is ${build ?? "foreign"}`);
  }
  for (const { path, names } of others) {
    cli.note(`tortie: "${path}" names ${listed(names)}, of which "${binDir}" has none any more`);
  }
  if (ours.length + own.length === 0) tell(`no file of Tortie is in "${binDir}" and "${confDir}"`);
  else if (remains !== "") cli.note(`tortie: kept: ${remains}`);
  return exitStatus.done;
}

function refuseForeign(binDir: string, targets: readonly Target[], keep: boolean): void {
  const foreign = targets.filter(({ state }) => state === "foreign");
  const names = foreign.map(({ name }) => name);
  // Without the main plugin there is nothing to install.
  const canKeep = !names.includes("calico");
  if (foreign.length === 0 || (keep && canKeep)) return;
  const silent = foreign.filter(({ isSilent }) => isSilent).length;
  const [is, it] = foreign.length === 1 ? ["is a foreign plugin", "it"] : ["are foreign plugins", "them"];
  const are =
    silent === 0
      ? is
      : silent < foreign.length
        ? "are foreign plugins, or damaged"
        : `${foreign.length === 1 ? "does" : "do"} not answer: damaged, or no plugin`;
  const remedy = canKeep
    ? `pass --keep to leave ${it} and install the rest, or --force to replace`
    : `pass --force to replace ${it}`;
  throw new CliError(`cannot install in "${binDir}": ${listed(names)} there ${are}; ${remedy}`);
}

function refuseDifferent({ path, state }: Conflist): void {
  if (state !== "different") return;
  throw new CliError(`cannot install "${path}": it exists with different content; pass --force to replace it`);
}

/** Refuses while pods are attached: without the plugins, DEL cannot remove their interfaces, addresses and host ports. */
function refuseAttached(cli: Cli): void {
  const pods = listEndpoints(cli.sys).map(({ pod, attachment }) =>
    pod === undefined ? `container ${attachment.containerId}` : `${pod.namespace}/${pod.name}`,
  );
  if (pods.length === 0) return;
  const shown = pods.slice(0, maxShown);
  const more = pods.length > shown.length ? ` and ${pods.length - shown.length} more` : "";
  throw new CliError(
    `cannot uninstall: ${pods.length === 1 ? "an attachment is" : `${pods.length} attachments are`} left, of ${listed(shown)}${more}; ` +
      "end the pods, remove dead attachments with tortie doctor --fix, or pass --force",
  );
}

const maxShown = 5;

/** Warns of conditions that keep the network from working after a successful installation. */
function warningsOf(cli: Cli, conflist: Conflist, binDir: string): readonly string[] {
  const { path, types, state } = conflist;
  const missing = types.filter((type) => !ourNames.includes(type) && cli.sys.stat(`${binDir}/${type}`) === undefined);
  const { before, after, namesakes } = otherConflists(cli, conflist);
  return [
    ...namesakes.map((other) => `"${other}" has the same network name: give one another name, or remove it`),
    ...missing.map((type) => `"${path}" names the plugin "${type}", which is not in "${binDir}"`),
    ...(before[0] === undefined
      ? []
      : [`runtimes use the first file in alphabetical order, which is "${before[0]}" and not "${path}"`]),
    ...(before[0] !== undefined || after[0] === undefined || state === "current"
      ? []
      : [`runtimes use the first file in alphabetical order, which is "${path}" from now on, no longer "${after[0]}"`]),
  ];
}

function doneWith({ state, build }: Target, isDue: boolean, installed: string): string {
  if (!isDue) return state === "current" ? `unchanged (${installed})` : "left alone: it is foreign";
  if (state === "missing") return `installed (${installed})`;
  return build === installed ? `linked again (${build})` : `replaced (${build ?? "a foreign file"} by ${installed})`;
}

function isOnlyOurs(name: string): boolean {
  return name.startsWith("calico") && ourNames.includes(name);
}

function tellerOf(cli: Cli, dryRun: boolean): (line: string) => void {
  return (line) => cli.out(`${line}${dryRun ? " (dry run)" : ""}\n`);
}
