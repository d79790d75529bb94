/** The network configuration: installed after the executables, removed before them. */
import type { Cli } from "../cli.ts";
import { gatherNetworks, type NetworkFile, networkFile, typesOf } from "../doctor/networks.ts";
import { CliError, failed } from "../error.ts";
import { lintNamedPools } from "../lint/named-pools.ts";
import { lintNetwork } from "../lint/network.ts";
import type { Offered } from "./environment.ts";

export interface Conflist {
  readonly path: string;
  readonly text: string;
  /** The plugins that it names. */
  readonly types: readonly string[];
  /** The file's present content. */
  readonly present: string | undefined;
  readonly state: "missing" | "current" | "different";
}

/**
 * Changes nothing. Throws `CliError` if the file is not a network configuration or, without `force`, if the plugins would refuse it.
 */
export function readConflist(cli: Cli, { source, name, text }: Offered, confDir: string, force: boolean): Conflist {
  const refuse = (reason: string) => new CliError(`cannot install ${source}: ${reason}`);
  const path = `${confDir}/${name}`;
  const read = networkFile(path, text);
  if (read.fault !== undefined) throw refuse(read.fault);
  const present = cli.sys.stat(path) === undefined ? undefined : cli.sys.readFile(path);
  const document = JSON.parse(text);
  const { findings: own } = lintNetwork(document);
  const findings = own.length > 0 ? own : lintNamedPools(cli, document);
  if (findings.length > 0 && !force) {
    const said = findings.map(({ path: place, text: what }) => (place === "" ? what : `${place}: ${what}`));
    throw refuse(`${said.join("; ")}; change it, or pass --force`);
  }
  const types = [...new Set(typesIn(read))];
  return withText({ path, text, types, present, state: "missing" }, text);
}

/** The same with another content. */
export function withText(conflist: Conflist, text: string): Conflist {
  const { present } = conflist;
  return { ...conflist, text, state: present === undefined ? "missing" : present === text ? "current" : "different" };
}

/** Comes last, so that a runtime that sees the file finds every plugin. Throws `CliError`. */
export function writeConflist({ sys }: Cli, { path, text }: Conflist): void {
  try {
    sys.makeDirs(path.slice(0, path.lastIndexOf("/")), 0o755);
    sys.replaceFile(path, text, { mode: 0o644, durable: true });
  } catch (error) {
    throw failed(`cannot write "${path}"`, error);
  }
}

export interface Others {
  /** Those that come before it, and after it. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** Those whose network has the same name. */
  readonly namesakes: readonly string[];
}

/** The other files of its directory, by name: the order in which a runtime looks for a configuration. */
export function otherConflists(cli: Cli, { path, text }: Conflist): Others {
  const confDir = path.slice(0, path.lastIndexOf("/"));
  const others = gatherNetworks(cli, confDir).files.filter((file) => file.path !== path);
  const paths = others.map((other) => other.path).sort();
  const { name } = JSON.parse(text) as { readonly name: string };
  return {
    before: paths.filter((other) => other < path),
    after: paths.filter((other) => other > path),
    namesakes: others.flatMap((other) =>
      other.fault === undefined && other.network.name === name ? [other.path] : [],
    ),
  };
}

export interface Named {
  readonly path: string;
  /** The given names that it contains. */
  readonly names: readonly string[];
}

/** The files that name one of these executables. */
export function conflistsNaming(cli: Cli, confDir: string, names: readonly string[]): readonly Named[] {
  return gatherNetworks(cli, confDir).files.flatMap((file) => {
    const found = typesIn(file).filter((type) => names.includes(type));
    return found.length === 0 ? [] : [{ path: file.path, names: [...new Set(found)] }];
  });
}

function typesIn(file: NetworkFile): readonly string[] {
  return file.fault === undefined ? file.network.plugins.flatMap(typesOf) : [];
}
