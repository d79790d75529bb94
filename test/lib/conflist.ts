/** Network configuration lists as libcni reads them (specification 1.1.0, section 1; libcni/conf.go). */
import { readFileSync } from "node:fs";

export type JsonObject = { readonly [key: string]: unknown };

export interface Conflist {
  readonly name: string;
  /** The version that the runtime chose: the highest of `cniVersion` and `cniVersions` that it supports. */
  readonly cniVersion: string;
  readonly disableCheck: boolean;
  readonly disableGc: boolean;
  readonly plugins: readonly (JsonObject & { readonly type: string })[];
  /** The text of the file. */
  readonly text: string;
}

export interface LoadOptions {
  /** The newest version that the runtime supports: podman 4.3 stops at 1.0.0. */
  readonly newest?: string;
}

const validName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

export function loadConflist(path: string, options: LoadOptions = {}): Conflist {
  return parseConflist(readFileSync(path, "utf8"), options);
}

export function parseConflist(text: string, { newest = "1.1.0" }: LoadOptions = {}): Conflist {
  const list = JSON.parse(text) as JsonObject;
  const { name, plugins, cniVersions = [] } = list;
  if (typeof name !== "string" || !validName.test(name))
    throw new Error(`cannot load conflist: bad name ${JSON.stringify(name)}`);
  if (!Array.isArray(plugins) || plugins.length === 0) throw new Error(`cannot load conflist "${name}": no plugins`);
  for (const plugin of plugins) {
    if (typeof plugin?.type !== "string" || /[/\\]/.test(plugin.type))
      throw new Error(`cannot load conflist "${name}": bad plugin type`);
  }
  const offered = [list.cniVersion ?? "0.1.0", ...(cniVersions as string[])].map(String);
  const version = offered.filter((each) => !isNewer(each, newest)).sort((a, b) => (isNewer(a, b) ? -1 : 1))[0];
  if (version === undefined)
    throw new Error(`cannot load conflist "${name}": no version up to ${newest} in ${offered}`);
  return {
    name,
    cniVersion: version,
    disableCheck: isTrue(list.disableCheck),
    disableGc: isTrue(list.disableGC),
    plugins,
    text,
  };
}

/** The same list in another version of the specification. */
export function withVersion(list: Conflist, cniVersion: string): Conflist {
  return { ...list, cniVersion };
}

export function isNewer(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (left?.[i] ?? 0) - (right?.[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return false;
}

/** libcni accepts quoted booleans, in any case. */
function isTrue(value: unknown): boolean {
  return String(value).toLowerCase() === "true";
}
