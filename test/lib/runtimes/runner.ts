/**
 * A container runtime as a plugin sees it: does what libcni does (libcni/api.go, pkg/invoke), on a private node.
 *
 * - ADD runs the plugins in order and passes each the previous result; it stops at the first error and **calls no DEL itself**.
 * - DEL runs them in reverse with the cached final result (from 0.4.0) and keeps the cache if one fails.
 * - CHECK needs the cache. STATUS stops at the first error. GC first DELs the cached attachments that are not valid,
 *   then calls each plugin and continues after errors.
 * - stdin is compact JSON with sorted keys, including `capabilities`; the environment is libcni's, including empty variables.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type Conflist, isNewer, type JsonObject } from "../conflist.ts";
import type { Completed, Machine } from "../node/netns.ts";

export type Command = "ADD" | "DEL" | "CHECK" | "STATUS" | "GC" | "VERSION";

/** The sandbox of an attachment. */
export interface Sandbox {
  readonly containerId: string;
  /** Path of the network namespace; may be empty on DEL. */
  readonly netns: string;
  readonly ifname: string;
  /** CNI_ARGS, in the runtime's order. */
  readonly args?: readonly (readonly [string, string])[];
  /** What the runtime can supply; a plugin gets the capabilities that it declares. */
  readonly capabilities?: JsonObject;
}

/** One exec of one plugin. */
export interface Call extends Completed {
  readonly plugin: string;
  readonly command: Command;
  readonly environment: Readonly<Record<string, string>>;
  readonly stdin: string;
  readonly wallMs: number;
}

export type CniResult = JsonObject & {
  readonly cniVersion?: string;
  readonly interfaces?: readonly { readonly name: string; readonly mac?: string; readonly sandbox?: string }[];
  readonly ips?: readonly { readonly address: string; readonly gateway?: string; readonly interface?: number }[];
};

/** The first address of a result in any version, without its prefix length. Throws when it has none. */
export function addressOf(result: CniResult): string {
  const address = result.ips?.[0]?.address ?? (result as { ip4?: { ip: string } }).ip4?.ip;
  if (address === undefined) throw new Error(`there is no address in ${JSON.stringify(result)}`);
  return address.replace(/\/.*/, "");
}

export class PluginError extends Error {
  override readonly name = "PluginError";
  readonly call: Call;
  readonly code: number | undefined;
  readonly details: string | undefined;

  constructor(call: Call) {
    const answer = parseJson(call.stdout) as { code?: number; msg?: string; details?: string } | undefined;
    super(`plugin type="${call.plugin}" failed (${call.command.toLowerCase()}): ${answer?.msg ?? noMessage(call)}`);
    this.call = call;
    this.code = answer?.code;
    this.details = answer?.details;
  }
}

export interface RunnerOptions {
  readonly node: Machine;
  /** CNI_PATH. */
  readonly pluginDirs: readonly string[];
  /** Command prefix for each plugin: `["strace", "-f"]`. */
  readonly wrap?: readonly string[];
}

interface CacheEntry {
  readonly kind: "cniCacheV1";
  readonly containerId: string;
  readonly ifName: string;
  readonly networkName: string;
  readonly netns: string;
  readonly config: string;
  readonly cniArgs?: readonly (readonly [string, string])[];
  readonly capabilityArgs?: JsonObject;
  readonly result: CniResult;
}

/** Outside of all directories of `snapshot`. */
const cacheDirectory = "/run/.node/results";

export class Runner {
  /** Every exec so far, oldest first. */
  readonly calls: Call[] = [];
  readonly #node: Machine;
  readonly #pluginDirs: readonly string[];
  readonly #wrap: readonly string[];

  constructor({ node, pluginDirs, wrap = [] }: RunnerOptions) {
    this.#node = node;
    this.#pluginDirs = pluginDirs;
    this.#wrap = wrap;
  }

  /** Returns the final result. Throws `PluginError`. */
  add(list: Conflist, sandbox: Sandbox): CniResult {
    let prevResult: CniResult | undefined;
    for (const plugin of list.plugins) {
      const call = this.exec("ADD", plugin.type, requestOf(list, plugin, { sandbox, prevResult }), sandbox);
      prevResult = resultOf(call, list.cniVersion);
    }
    const result = prevResult ?? {};
    this.#writeCache(list, sandbox, result);
    return result;
  }

  check(list: Conflist, sandbox: Sandbox): void {
    if (list.disableCheck) return;
    const prevResult = this.cached(list, sandbox);
    if (prevResult === undefined) throw new Error(`cannot check ${sandbox.containerId}: no cached result`);
    for (const plugin of list.plugins)
      this.exec("CHECK", plugin.type, requestOf(list, plugin, { sandbox, prevResult }), sandbox);
  }

  del(list: Conflist, sandbox: Sandbox): void {
    const prevResult = isNewer("0.4.0", list.cniVersion) ? undefined : this.cached(list, sandbox);
    for (const plugin of [...list.plugins].reverse()) {
      this.exec("DEL", plugin.type, requestOf(list, plugin, { sandbox, prevResult }), sandbox);
    }
    rmSync(this.#cachePath(list.name, sandbox), { force: true });
  }

  status(list: Conflist): void {
    if (isNewer("1.1.0", list.cniVersion)) return;
    for (const plugin of list.plugins) this.exec("STATUS", plugin.type, requestOf(list, plugin, {}), noSandbox);
  }

  /** Throws the first error after all plugins were called. */
  gc(list: Conflist, valid: readonly Pick<Sandbox, "containerId" | "ifname">[]): void {
    if (list.disableGc) return;
    for (const stale of this.#cacheEntries(list.name)) {
      if (valid.some((each) => each.containerId === stale.containerId && each.ifname === stale.ifname)) continue;
      this.del(list, stale);
    }
    if (isNewer("1.1.0", list.cniVersion)) return;
    this.collect(list, valid);
  }

  /** Only the GC calls, without the DELs that libcni first makes for its own cache. */
  collect(list: Conflist, valid: readonly Pick<Sandbox, "containerId" | "ifname">[]): void {
    const errors: unknown[] = [];
    for (const plugin of list.plugins) {
      try {
        this.exec("GC", plugin.type, gcRequestOf(list, plugin, valid), noSandbox);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  /** Asks one plugin for its versions, as libcni does when it loads a list. */
  version(type: string): { readonly cniVersion: string; readonly supportedVersions: readonly string[] } {
    const dummy = { containerId: "", netns: "dummy", ifname: "dummy" };
    return JSON.parse(this.exec("VERSION", type, { cniVersion: "1.1.0" }, dummy).stdout);
  }

  /** Runs one plugin with exactly this request. Throws `PluginError` if it fails. */
  exec(command: Command, type: string, request: JsonObject, sandbox: Sandbox): Call {
    const call = this.tryExec(command, type, request, sandbox);
    if (call.status !== 0) throw new PluginError(call);
    return call;
  }

  /** Runs one plugin, which may fail. */
  tryExec(command: Command, type: string, request: JsonObject, sandbox: Sandbox): Call {
    const { argv, environment, stdin } = this.#prepare(command, type, request, sandbox);
    const started = performance.now();
    const done = this.#node.run(argv, { env: environment, stdin });
    return this.#called({ plugin: type, command, environment, stdin, wallMs: performance.now() - started, ...done });
  }

  /** The same, asynchronously. */
  async tryExecBeside(command: Command, type: string, request: JsonObject, sandbox: Sandbox): Promise<Call> {
    const { argv, environment, stdin } = this.#prepare(command, type, request, sandbox);
    const started = performance.now();
    const done = await this.#node.runBeside(argv, { env: environment, stdin });
    return this.#called({ plugin: type, command, environment, stdin, wallMs: performance.now() - started, ...done });
  }

  #prepare(command: Command, type: string, request: JsonObject, sandbox: Sandbox) {
    const environment = environmentOf(command, sandbox, this.#pluginDirs);
    return { argv: [...this.#wrap, this.find(type)], environment, stdin: JSON.stringify(sortKeys(request)) };
  }

  #called(call: Call): Call {
    this.calls.push(call);
    return call;
  }

  /** The plugin's path (pkg/invoke/find.go). */
  find(type: string): string {
    const found = this.#pluginDirs
      .map((dir) => `${dir}/${type}`)
      .find((path) => existsSync(this.#node.outerPath(path)));
    if (found === undefined) throw new Error(`failed to find plugin "${type}" in path [${this.#pluginDirs.join(" ")}]`);
    return found;
  }

  /** The cached final result of an attachment. */
  cached(list: Conflist, sandbox: Sandbox): CniResult | undefined {
    const path = this.#cachePath(list.name, sandbox);
    return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as CacheEntry).result : undefined;
  }

  /** Deletes the cache, as an upgrade or a wiped directory does. */
  forget(): void {
    rmSync(this.#node.outerPath(cacheDirectory), { recursive: true, force: true });
  }

  #writeCache(list: Conflist, sandbox: Sandbox, result: CniResult): void {
    const entry: CacheEntry = {
      kind: "cniCacheV1",
      containerId: sandbox.containerId,
      ifName: sandbox.ifname,
      networkName: list.name,
      netns: sandbox.netns,
      config: Buffer.from(list.text).toString("base64"),
      ...(sandbox.args && { cniArgs: sandbox.args }),
      ...(sandbox.capabilities && { capabilityArgs: sandbox.capabilities }),
      result,
    };
    mkdirSync(this.#node.outerPath(cacheDirectory), { recursive: true, mode: 0o700 });
    writeFileSync(this.#cachePath(list.name, sandbox), JSON.stringify(entry), { mode: 0o600 });
  }

  #cacheEntries(network: string): readonly Sandbox[] {
    const directory = this.#node.outerPath(cacheDirectory);
    if (!existsSync(directory) || !statSync(directory).isDirectory()) return [];
    return readdirSync(directory)
      .map((name) => JSON.parse(readFileSync(`${directory}/${name}`, "utf8")) as CacheEntry)
      .filter((entry) => entry.networkName === network)
      .map((entry) => ({
        containerId: entry.containerId,
        ifname: entry.ifName,
        netns: entry.netns,
        ...(entry.cniArgs && { args: entry.cniArgs }),
        ...(entry.capabilityArgs && { capabilities: entry.capabilityArgs }),
      }));
  }

  #cachePath(network: string, { containerId, ifname }: Sandbox): string {
    return this.#node.outerPath(`${cacheDirectory}/${network}-${containerId}-${ifname}`);
  }
}

/** On STATUS and GC libcni sets the attachment's variables to empty strings. */
export const noSandbox: Sandbox = { containerId: "", netns: "", ifname: "" };

/** The request that one plugin of a list reads on stdin. */
export function requestOf(
  list: Conflist,
  plugin: JsonObject,
  { sandbox, prevResult }: { readonly sandbox?: Sandbox; readonly prevResult?: CniResult | undefined },
): JsonObject {
  const declared = (plugin.capabilities ?? {}) as Readonly<Record<string, boolean>>;
  const supplied = Object.entries(sandbox?.capabilities ?? {}).filter(([key]) => declared[key] === true);
  return {
    ...plugin,
    cniVersion: list.cniVersion,
    name: list.name,
    ...(supplied.length > 0 && { runtimeConfig: Object.fromEntries(supplied) }),
    ...(prevResult && { prevResult }),
  };
}

/** The request that one plugin of a list reads on GC. */
export function gcRequestOf(
  list: Conflist,
  plugin: JsonObject,
  valid: readonly Pick<Sandbox, "containerId" | "ifname">[],
): JsonObject {
  const attachments = valid.map(({ containerId, ifname }) => ({ containerID: containerId, ifname }));
  const keys = { "cni.dev/attachments": attachments, "cni.dev/valid-attachments": attachments };
  return { ...requestOf(list, plugin, {}), ...keys };
}

function environmentOf(
  command: Command,
  sandbox: Sandbox,
  pluginDirs: readonly string[],
): Readonly<Record<string, string>> {
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    CNI_COMMAND: command,
    CNI_CONTAINERID: sandbox.containerId,
    CNI_NETNS: sandbox.netns,
    CNI_IFNAME: sandbox.ifname,
    CNI_ARGS: (sandbox.args ?? []).map(([key, value]) => `${key}=${value}`).join(";"),
    CNI_PATH: command === "VERSION" ? "dummy" : pluginDirs.join(":"),
  };
}

/** A result has the version of the request, or none. */
function resultOf(call: Call, cniVersion: string): CniResult {
  const result = parseJson(call.stdout) as CniResult | undefined;
  if (result === undefined)
    throw new Error(`failed to unmarshal raw result of ${call.plugin}: ${JSON.stringify(call.stdout)}`);
  if ((result.cniVersion ?? cniVersion) !== cniVersion) {
    throw new Error(`${call.plugin} answered in version ${result.cniVersion}, asked in ${cniVersion}`);
  }
  return result;
}

/** Go marshals maps with sorted keys. */
export function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [key, sortKeys(each)]));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function noMessage({ status, signal, stdout, stderr }: Call): string {
  const end = signal === undefined ? `exit status ${status}` : `signal: ${signal}`;
  return stdout === "" && stderr === ""
    ? `netplugin failed with no error message: ${end}`
    : `netplugin failed: ${end}: ${stdout}${stderr}`;
}
