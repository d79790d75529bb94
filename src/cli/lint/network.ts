/**
 * Checks a network configuration and reports all findings at once: what the plugins would refuse and what they would ignore. ADD ignores
 * unknown keys, because they may be meant for another program, but a person wants to see a misspelt one.
 *
 * Configurations of foreign plugins are not checked.
 */

import { supportedVersions } from "../../cni/version.ts";
import { isOfCluster, ofCluster, unsupportedIn } from "../../plugin/unsupported.ts";
import { isObject } from "../../schema/schema.ts";
import { didYouMean } from "../suggest.ts";
import { type LintFinding, lintPlugin } from "./plugin.ts";
import { knownPlugins } from "./plugins.ts";

export interface NetworkLint {
  /** In the order of the document. */
  readonly findings: readonly LintFinding[];
  /** Plugins that were not checked, with the reason: `plugins[2] (tuning): …`. */
  readonly unchecked: readonly string[];
}

/** The keys of a list, apart from the plugins' own (specification, section 1). */
const listKeys = [
  "cniVersion",
  "cniVersions",
  "name",
  "disableCheck",
  "disableGC",
  "loadOnlyInlinedPlugins",
  "plugins",
];

/** `document`: a conflist, or the configuration of a single plugin. */
export function lintNetwork(document: unknown): NetworkLint {
  if (!isObject(document))
    return { findings: [{ path: "", text: "it is not a JSON object", effect: "refused" }], unchecked: [] };
  const { cniVersion, name } = document;
  if (!("plugins" in document)) return joined([headOf(document), lintOne(document, "")]);
  const { plugins } = document;
  const unknown = Object.keys(document).filter((key) => !listKeys.includes(key));
  const head: NetworkLint = {
    findings: unknown.map((key) => ({
      path: key,
      text: `a list does not have this key${didYouMean(key, listKeys)}`,
      effect: "ignored" as const,
    })),
    unchecked: [],
  };
  if (!Array.isArray(plugins) || plugins.length === 0) {
    return joined([
      headOf(document),
      head,
      { findings: [{ path: "plugins", text: "must be a list of plugins", effect: "refused" }], unchecked: [] },
    ]);
  }
  const each = plugins.map((plugin, index) =>
    isObject(plugin)
      ? lintOne({ cniVersion, name, ...plugin }, `plugins[${index}]`)
      : {
          findings: [{ path: `plugins[${index}]`, text: "must be an object", effect: "refused" as const }],
          unchecked: [],
        },
  );
  return joined([headOf(document), head, ...each]);
}

/** Whether a document is a network configuration, not a resource. */
export function isNetwork(document: unknown): document is Readonly<Record<string, unknown>> {
  if (!isObject(document) || "kind" in document || "apiVersion" in document) return false;
  return "plugins" in document || ("type" in document && ("cniVersion" in document || "ipam" in document));
}

function headOf({ name, cniVersion = "0.1.0", cniVersions = [] }: Readonly<Record<string, unknown>>): NetworkLint {
  const findings: LintFinding[] = [];
  if (typeof name !== "string" || !/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    const text = name === undefined ? "is missing" : 'must be letters, digits, "_", "." and "-"';
    findings.push({ path: "name", text, effect: "refused" });
  }
  const offered = [cniVersion, ...(Array.isArray(cniVersions) ? cniVersions : [cniVersions])];
  if (!offered.some((version) => (supportedVersions as readonly unknown[]).includes(version))) {
    const text = `is ${offered.map((version) => JSON.stringify(version)).join(", ")}, but the plugins support ${supportedVersions.join(", ")}`;
    findings.push({ path: "cniVersion", text, effect: "refused" });
  }
  return { findings, unchecked: [] };
}

function lintOne(document: Readonly<Record<string, unknown>>, path: string): NetworkLint {
  const { type, ipam } = document;
  const at = path === "" ? "" : `${path}.`;
  if (typeof type !== "string" || type === "") {
    return {
      findings: [{ path: `${at}type`, text: "must be the name of a plugin", effect: "refused" }],
      unchecked: [],
    };
  }
  const ipamType = isObject(ipam) && typeof ipam.type === "string" ? ipam.type : undefined;
  const isOurs = Object.hasOwn(knownPlugins, type);
  const ours = Object.keys(knownPlugins);
  const isIpamOurs = ipamType !== undefined && Object.hasOwn(knownPlugins, ipamType);
  const place = path === "" ? "the plugin" : path;
  return {
    findings: [
      ...(isOurs && isOfCluster(unsupportedIn(document))
        ? [{ path, text: `${ofCluster}; see docs/operations.md`, effect: "refused" as const }]
        : []),
      ...(isOurs || isIpamOurs ? lintPlugin(document, path) : []),
    ],
    unchecked: [
      ...(isOurs ? [] : [`${place} (${type})${didYouMean(type, ours)}`]),
      ...(ipamType === undefined || isIpamOurs ? [] : [`${at}ipam (${ipamType})${didYouMean(ipamType, ours)}`]),
    ],
  };
}

function joined(parts: readonly NetworkLint[]): NetworkLint {
  return {
    findings: parts.flatMap(({ findings }) => findings),
    unchecked: parts.flatMap(({ unchecked }) => unchecked),
  };
}
