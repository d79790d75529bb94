/**
 * The cache that libcni, the runtimes' library for calling plugins, keeps of each attachment from ADD to DEL.
 *
 *     /var/lib/cni/results/<network>-<containerID>-<ifname>     (libcni/api.go, cachedInfo)
 *
 * It is the only record of the requests to foreign plugins.
 */
import * as z from "zod";
import { parseResult } from "../../cni/convert.ts";
import type { Result } from "../../cni/result.ts";
import { type CniVersion, supportedVersions } from "../../cni/version.ts";
import type { Attachment } from "../../identity/attachment.ts";
import type { Cli } from "../cli.ts";
import { type Network, type PluginConf, parseNetwork } from "./networks.ts";

export interface CachedAttachment {
  readonly attachment: Attachment;
  /** In the order of the chain, each with its configuration. */
  readonly plugins: readonly PluginConf[];
  /** CNI_ARGS. */
  readonly args: string;
  /** The result of the last plugin. */
  readonly result: Result | undefined;
}

const directory = "/var/lib/cni/results";

const cachedInfo = z.object({
  kind: z.literal("cniCacheV1"),
  containerId: z.string(),
  ifName: z.string(),
  networkName: z.string(),
  config: z.string(),
  cniArgs: z.array(z.tuple([z.string(), z.string()])).nullish(),
  capabilityArgs: z.record(z.string(), z.unknown()).nullish(),
  result: z.record(z.string(), z.unknown()).nullish(),
});

/** `undefined` if the runtime keeps no cache, or the file is unreadable. */
export function readCached({ sys }: Cli, attachment: Attachment): CachedAttachment | undefined {
  const { network, containerId, ifname } = attachment;
  const path = `${directory}/${network}-${containerId}-${ifname}`;
  try {
    if (sys.stat(path) === undefined) return undefined;
    const found = cachedInfo.parse(JSON.parse(sys.readFile(path)));
    // The name is joined by "-", which all three parts may contain: the file may belong to another attachment.
    if (found.networkName !== network || found.containerId !== containerId || found.ifName !== ifname) return undefined;
    const list = parseNetwork(JSON.parse(Buffer.from(found.config, "base64").toString("utf8")));
    return {
      attachment,
      plugins: list.plugins.map((plugin) => withCapabilities(plugin, found.capabilityArgs ?? {})),
      args: (found.cniArgs ?? []).map(([key, value]) => `${key}=${value}`).join(";"),
      result: found.result ? resultIn(found.result, list) : undefined,
    };
  } catch {
    return undefined;
  }
}

/** As libcni does: only the capabilities that the plugin's configuration declares. */
function withCapabilities({ type, document }: PluginConf, args: Readonly<Record<string, unknown>>): PluginConf {
  const { capabilities } = document as { readonly capabilities?: Readonly<Record<string, unknown>> };
  const given = Object.entries(args).filter(([key]) => capabilities?.[key] === true);
  return given.length === 0
    ? { type, document }
    : { type, document: { ...document, runtimeConfig: Object.fromEntries(given) } };
}

function resultIn(result: Readonly<Record<string, unknown>>, { cniVersion }: Network): Result | undefined {
  const version = (result.cniVersion ?? cniVersion) as CniVersion;
  return supportedVersions.includes(version) ? parseResult(result, version, "the cached result") : undefined;
}
