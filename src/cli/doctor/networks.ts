/** The network configuration files, the one that a runtime uses, and the stdin of each plugin of a network. */
import { descriptors } from "#plugins/descriptors";
import { isErrno } from "../../host/sys.ts";
import type { Cli } from "../cli.ts";
import { messageOf } from "../error.ts";
import { jsonFault } from "../resources/json-fault.ts";

export interface NetworkFacts {
  readonly directory: string;
  /** In the order in which runtimes read them. */
  readonly files: readonly NetworkFile[];
  /** The path of a configuration that was delivered with this command; absent if there is none. */
  readonly example?: string | undefined;
}

export type NetworkFile =
  | { readonly path: string; readonly fault: string }
  | { readonly path: string; readonly fault?: undefined; readonly network: Network };

export interface Network {
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly PluginConf[];
}

export interface PluginConf {
  readonly type: string;
  /** The plugin's stdin without the keys that belong to an attachment. */
  readonly document: Readonly<Record<string, unknown>>;
}

/** All names of our one executable. */
export const ourNames: readonly string[] = descriptors.map(({ name }) => name);

/** The names among them that foreign plugins do not use. */
const onlyOurs: readonly string[] = descriptors.filter(({ sharesName }) => !sharesName).map(({ name }) => name);

/** File names that libcni accepts as configurations (libcni/conf.go). */
const extensions = [".conf", ".conflist", ".json"];

export function gatherNetworks(cli: Cli, directory: string): NetworkFacts {
  const files = filesIn(cli, directory)
    .filter((name) => extensions.some((extension) => name.endsWith(extension)))
    .sort()
    .map((name): NetworkFile => readNetwork(cli, `${directory}/${name}`));
  return { directory, files, example: siblingExample(cli) };
}

/** In the repository, and in an unpacked archive. */
function siblingExample({ sys, files: { ownDirectory } }: Cli): string | undefined {
  if (ownDirectory === undefined) return undefined;
  const parent = ownDirectory.slice(0, Math.max(1, ownDirectory.lastIndexOf("/")));
  const paths = [parent, ownDirectory].map((directory) => `${directory}/conf-examples/10-calico.conflist`);
  return paths.find((path) => sys.stat(path)?.kind === "file");
}

/** The valid networks; a runtime uses the first. */
export function networksIn({ files }: NetworkFacts): readonly Network[] {
  return files.flatMap((file) => (file.fault === undefined ? [file.network] : []));
}

export function networkNamed(facts: NetworkFacts, name: string): Network | undefined {
  return networksIn(facts).find((network) => network.name === name);
}

/**
 * The networks to check: those that name a plugin which only we have, and the one that runtimes use if it contains a plugin of ours.
 * `isOurs`: whether the executable with a shared name is ours.
 */
export function ourNetworks(facts: NetworkFacts, isOurs: (type: string) => boolean): readonly Network[] {
  return networksIn(facts).filter(({ plugins }, index) => {
    const types = plugins.flatMap(typesOf);
    return types.some((type) => onlyOurs.includes(type)) || (index === 0 && types.some(isOurs));
  });
}

export function typesOf(plugin: PluginConf): readonly string[] {
  return [plugin.type, ipamTypeOf(plugin) ?? []].flat();
}

/** The IPAM plugin of a main plugin. */
export function ipamTypeOf({ document: { ipam } }: PluginConf): string | undefined {
  const { type } = (ipam ?? {}) as { readonly type?: unknown };
  return typeof type === "string" && type !== "" ? type : undefined;
}

function filesIn({ sys }: Cli, directory: string): readonly string[] {
  try {
    return sys.listDir(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

export function readNetwork({ sys }: Cli, path: string): NetworkFile {
  try {
    return networkFile(path, sys.readFile(path));
  } catch (error) {
    return { path, fault: messageOf(error) };
  }
}

/** The same of a text that is to be written there. */
export function networkFile(path: string, text: string): NetworkFile {
  try {
    return { path, network: parseNetwork(JSON.parse(text)) };
  } catch (error) {
    const fault = error instanceof SyntaxError ? jsonFault(text) : undefined;
    return { path, fault: fault === undefined ? messageOf(error) : `it is not JSON: ${fault}` };
  }
}

/** A list, or a single plugin as before lists were introduced. Throws `Error` with the reason. */
export function parseNetwork(document: unknown): Network {
  const list = objectOf(document, "the document");
  const { name } = list;
  if (typeof name !== "string" || !/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    throw new Error(`"name" is ${JSON.stringify(name) ?? "missing"}: must be letters, digits, "_", "." and "-"`);
  }
  const cniVersion = versionOf(list);
  const plugins = "type" in list ? [list] : list.plugins;
  if (!Array.isArray(plugins) || plugins.length === 0) throw new Error('"plugins" must be a list of plugins');
  return { name, cniVersion, plugins: plugins.map((plugin, index) => parsePlugin(plugin, index, name, cniVersion)) };
}

/** The newest version that the file offers and that exists. */
function versionOf({ cniVersion = "0.1.0", cniVersions = [] }: Readonly<Record<string, unknown>>): string {
  const offered = [cniVersion, ...(Array.isArray(cniVersions) ? cniVersions : [])];
  for (const version of offered) {
    if (typeof version !== "string" || !/^\d+\.\d+\.\d+$/.test(version)) {
      throw new Error(`"cniVersion" is ${JSON.stringify(version)}: must be a version like "1.0.0"`);
    }
  }
  return (offered as string[]).sort((one, other) => one.localeCompare(other, "en", { numeric: true })).at(-1) as string;
}

function parsePlugin(value: unknown, index: number, name: string, cniVersion: string): PluginConf {
  const plugin = objectOf(value, `plugins[${index}]`);
  const { type } = plugin;
  if (typeof type !== "string" || type === "" || /[/\\]/.test(type)) {
    throw new Error(
      `"plugins[${index}].type" is ${JSON.stringify(type) ?? "missing"}: must be the name of an executable`,
    );
  }
  const common = { cniVersion, name };
  // The common keys come first, where people read them, and take precedence over the plugin's.
  return { type, document: { ...common, ...plugin, ...common } };
}

function objectOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`${what} is not a JSON object`);
  return value as Readonly<Record<string, unknown>>;
}
