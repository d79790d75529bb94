/** Checks that the executables that the networks need exist, are intact and come from one build. */
import { didYouMean } from "../suggest.ts";
import { type Executable, type ExecutableFacts, networksOfOurs, ownBuild } from "./executables.ts";
import type { Finding } from "./finding.ts";
import { type NetworkFacts, ourNames, typesOf } from "./networks.ts";
import { byPrograms, quote } from "./plugin-call.ts";

export function checkExecutables(facts: ExecutableFacts, networks: NetworkFacts): readonly Finding[] {
  const needed = new Set(networksOfOurs(networks, facts).flatMap(({ plugins }) => plugins.flatMap(typesOf)));
  if (needed.size === 0 && facts.executables.every(({ build }) => build === undefined)) return [notInstalled(facts)];
  return [
    ...facts.executables.flatMap((one) => checkOne(one, facts, needed)),
    ...checkBuilds(facts),
    ...checkVersions(facts, networks),
  ];
}

type Part = Omit<Finding, "section" | "severity"> & Partial<Pick<Finding, "severity">>;

function finding(part: Part): Finding {
  return { section: "executables", severity: "error", ...part };
}

function notInstalled(facts: ExecutableFacts): Finding {
  const text = `is not installed: none of its plugins are in ${facts.directories.join(", ")}`;
  return finding({ id: "executable-missing", subject: "Tortie", text, remedy: installing("calico", facts) });
}

/** An executable that no network needs may be missing, but not broken: it will be used when a network needs it. */
function checkOne(one: Executable, facts: ExecutableFacts, needed: ReadonlySet<string>): readonly Finding[] {
  const { name, path, fault, build } = one;
  const isOurs = ourNames.includes(name);
  const need = needed.has(name) ? "ADD fails for any network that names it" : "a network that names it would not work";
  if (path === undefined) {
    if (!needed.has(name)) return [];
    const text = `is in none of ${facts.directories.join(", ")}: ${need}`;
    return [finding({ id: "executable-missing", subject: name, text, ...repairExecutable(name, facts) })];
  }
  if (fault === "it is not executable") {
    const argv = ["chmod", "0755", path];
    return [
      finding({ id: "executable-broken", subject: path, text: `is not executable: ${need}`, ...byPrograms([argv]) }),
    ];
  }
  if (fault !== undefined) {
    const text = `does not answer: ${fault}: ${need}`;
    return [finding({ id: "executable-broken", subject: path, text, ...repairExecutable(name, facts, isOurs) })];
  }
  if (isOurs && build === undefined && needed.has(name)) {
    const text = "is not part of Tortie: this command cannot find its leftovers";
    const remedy = `${installing(name, facts)} --force${facts.areSiblings ? "   # replaces it" : ""}`;
    return [finding({ id: "executable-foreign", severity: "warning", subject: path, text, remedy })];
  }
  return [];
}

/** All names are hard links to one file: an intact one can replace the others. */
function repairExecutable(name: string, facts: ExecutableFacts, replaces = false): Pick<Finding, "remedy" | "fix"> {
  const whole = facts.executables.find(({ build, fault, path }) => build !== undefined && fault === undefined && path);
  if (!ourNames.includes(name) || whole?.path === undefined)
    // A file that does not answer may be foreign: `install` leaves it unless it is told.
    return { remedy: `${installing(name, facts)}${replaces ? " --force" : ""}` };
  return byPrograms([["ln", "-f", whole.path, `${directoryOf(whole.path)}/${name}`]]);
}

function installing(name: string, { directories, areSiblings }: ExecutableFacts): string {
  const target = quote(directories[0] ?? "/opt/cni/bin");
  if (ourNames.includes(name) && areSiblings) return `tortie install --bin-dir ${target}`;
  if (ourNames.includes(name)) return `# build Tortie, and from there: node dist/tortie.js install --bin-dir ${target}`;
  const meant = didYouMean(name, ourNames);
  if (meant !== "")
    return `# change "${name}" in the network configuration${meant}, or install that plugin in ${target}`;
  return `# install the plugin "${name}" in ${target}: the package containernetworking-plugins may contain it`;
}

/** An interrupted installation leaves some names at the old build. */
function checkBuilds(facts: ExecutableFacts): readonly Finding[] {
  const ours = facts.executables.filter(({ build, fault }) => build !== undefined && fault === undefined);
  const builds = [...new Set(ours.map(({ build }) => build))];
  const current = ours.find(({ build }) => build === ownBuild);
  if (builds.length > 1) {
    const old = ours.filter(({ build }) => build !== current?.build).map(({ path = "" }) => path);
    const text = `are from different builds (${ours.map(({ name, build }) => `${name}: ${build}`).join("; ")}): an installation was interrupted`;
    const repair =
      current?.path === undefined
        ? { remedy: installing(ours[0]?.name ?? "", facts) }
        : byPrograms(old.map((path) => ["ln", "-f", current.path ?? "", path]));
    return [finding({ id: "executables-mixed", subject: "executables", text, ...repair })];
  }
  const [build] = builds;
  if (build === undefined || build === ownBuild) return [];
  const text = `are ${build}, and this command is ${ownBuild}`;
  const remedy = "# install both from the same build";
  return [finding({ id: "build-different", severity: "warning", subject: "executables", text, remedy })];
}

function checkVersions(facts: ExecutableFacts, networks: NetworkFacts): readonly Finding[] {
  return networksOfOurs(networks, facts).flatMap(({ name, cniVersion, plugins }) =>
    plugins.flatMap(typesOf).flatMap((type) => {
      const one = facts.executables.find((executable) => executable.name === type);
      if (one?.path === undefined || one.fault !== undefined || one.versions.includes(cniVersion)) return [];
      const text = `does not speak version ${cniVersion} of CNI, the newest that network "${name}" offers: it supports ${one.versions.join(", ")}`;
      const remedy = `# make network "${name}" offer ${one.versions.at(-1) ?? "1.0.0"} at most, in "cniVersion" and in "cniVersions"`;
      return [finding({ id: "version-unsupported", subject: one.path, text, remedy })];
    }),
  );
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
