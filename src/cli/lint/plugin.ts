/** Checks one plugin's part of a network configuration: by its schema, and with the plugin's own parser. */

import { isLogLevel } from "../../log/options.ts";
import { calicoKeys, describeUnsupported, unsupportedIn } from "../../plugin/unsupported.ts";
import { faultAt, isObject, type Schema } from "../../schema/schema.ts";
import { messageOf } from "../error.ts";
import { didYouMean } from "../suggest.ts";
import { type KnownPlugin, knownPlugins } from "./plugins.ts";

export interface LintFinding {
  /** `plugins[0].ipam.ipv4_pool`; empty for the document itself. */
  readonly path: string;
  /** Follows the path. */
  readonly text: string;
  /** How a runtime or ADD treats it. */
  readonly effect: "refused" | "ignored";
}

type Document = Readonly<Record<string, unknown>>;

/** The specification's keys of every plugin (section 2), and what libcni adds. */
const commonKeys = ["cniVersion", "name", "type", "capabilities", "args", "runtimeConfig", "prevResult", "ipam", "dns"];
/** Keys whose values are foreign or checked elsewhere. */
const opaque = ["args", "runtimeConfig", "ipam"];

/** Checks the keys of our plugin and of its IPAM plugin, if that is ours. */
export function lintPlugin(document: Document, path: string): readonly LintFinding[] {
  const ipam = isObject(document.ipam) ? document.ipam : {};
  const main = ours(document.type);
  const delegate = ours(ipam.type);
  const plugins = [main, delegate].flatMap((plugin) => plugin ?? []);
  const name = `${document.type}`;
  const top = merged(plugins);
  const wrong = [
    ...unsupportedIn(document).map((found) => ({
      path,
      text: `cannot use ${describeUnsupported(found)}`,
      effect: "refused" as const,
    })),
    ...(main === undefined ? [] : valueFindings(document, { ...top, required: main.schema.required ?? [] }, path)),
    ...(delegate === undefined ? [] : valueFindings(ipam, top.properties?.ipam ?? {}, under(path, "ipam"))),
  ];
  return [
    ...wrong,
    ...(main === undefined ? [] : unknownKeys(document, top, [...commonKeys, ...calicoKeys()], path, name)),
    ...(delegate === undefined
      ? []
      : unknownKeys(ipam, top.properties?.ipam ?? {}, [], under(path, "ipam"), `${ipam.type}`)),
    ...(main === undefined ? [] : [...capabilityFindings(document, top, path, name), ...misreadValues(document, path)]),
    // The plugin's own checks, beyond its schema.
    ...(wrong.length > 0 ? [] : plugins.flatMap(({ parseConf }) => refusals(parseConf, document, path)).slice(0, 1)),
  ];
}

function ours(type: unknown): KnownPlugin | undefined {
  return typeof type === "string" && Object.hasOwn(knownPlugins, type) ? knownPlugins[type] : undefined;
}

/** The keys that either reads: a plugin and its delegate get one document. */
function merged(plugins: readonly KnownPlugin[]): Schema {
  return plugins.map(({ schema }) => schema).reduce(union, {});
}

function union(one: Schema, other: Schema): Schema {
  const keys = Object.keys({ ...one.properties, ...other.properties });
  if (keys.length === 0) return { ...other, ...one };
  const of = (schema: Schema, key: string) => schema.properties?.[key] ?? {};
  return { ...one, properties: Object.fromEntries(keys.map((key) => [key, union(of(one, key), of(other, key))])) };
}

/** Every value that ADD rejects; ADD itself reports only the first. */
function valueFindings(
  value: Document,
  { properties = {}, required = [] }: Schema,
  path: string,
): readonly LintFinding[] {
  const missing = required.filter((key) => !Object.keys(value).some((own) => isSame(own, key)));
  return [
    ...missing.map((key) => ({ path: under(path, key), text: "is missing", effect: "refused" as const })),
    ...Object.entries(value).flatMap(([key, item]): readonly LintFinding[] => {
      const schema = schemaOf(properties, key);
      if (schema === undefined || item === null || isSame(key, "ipam")) return [];
      const isDeep = schema.properties !== undefined && isObject(item) && !opaque.includes(key);
      return isDeep ? valueFindings(item, schema, under(path, key)) : faultFindings(schema, item, under(path, key));
    }),
  ];
}

function faultFindings(schema: Schema, value: unknown, path: string): readonly LintFinding[] {
  const fault = faultAt(schema, value, path);
  return fault === undefined ? [] : [{ ...fault, effect: "refused" }];
}

/** Keys that no plugin reads. */
function unknownKeys(
  value: Document,
  { properties = {} }: Schema,
  others: readonly string[],
  path: string,
  plugin: string,
): readonly LintFinding[] {
  const known = [...Object.keys(properties), ...others];
  return Object.entries(value).flatMap(([key, item]): readonly LintFinding[] => {
    const place = under(path, key);
    if (!known.some((one) => isSame(one, key)) && !key.startsWith("cni.dev/")) {
      return [{ path: place, text: `${plugin} does not have this key${didYouMean(key, known)}`, effect: "ignored" }];
    }
    const inner = schemaOf(properties, key);
    const isDeep = inner?.properties !== undefined && isObject(item) && !opaque.some((one) => isSame(one, key));
    return isDeep ? unknownKeys(item, inner, [], place, plugin) : [];
  });
}

/** Capabilities that the plugin does not know: a runtime passes only the declared ones, by exact name. */
function capabilityFindings(
  { capabilities }: Document,
  { properties }: Schema,
  path: string,
  plugin: string,
): readonly LintFinding[] {
  const place = under(path, "capabilities");
  if (capabilities === undefined || capabilities === null) return [];
  if (!isObject(capabilities)) return [{ path: place, text: "must be an object", effect: "ignored" }];
  const known = Object.keys(properties?.runtimeConfig?.properties ?? {});
  return Object.entries(capabilities).flatMap(([key, value]): readonly LintFinding[] => {
    const own = under(place, key);
    if (!known.includes(key))
      return [
        { path: own, text: `${plugin} does not have this capability${didYouMean(key, known)}`, effect: "ignored" },
      ];
    return typeof value === "boolean"
      ? []
      : [{ path: own, text: `must be a boolean, not ${JSON.stringify(value)}`, effect: "ignored" }];
  });
}

/** Keys with the path of a file. */
const paths = ["log_file_path", "nodename_file", "ipam_lock_file"];

/** Values that ADD misinterprets. */
function misreadValues(document: Document, path: string): readonly LintFinding[] {
  return Object.entries(document).flatMap(([key, value]): readonly LintFinding[] => {
    const ignored = (text: string) => [{ path: under(path, key), text, effect: "ignored" as const }];
    if (isSame(key, "log_level") && typeof value === "string" && value !== "" && !isLogLevel(value)) {
      return ignored(`is ${JSON.stringify(value)}, which counts as info; must be debug, info, warning or error`);
    }
    if (paths.some((path) => isSame(key, path)) && typeof value === "string" && /^[^/]/.test(value))
      return ignored(
        `is ${JSON.stringify(value)}, below whatever directory the runtime runs in; write a path that begins with "/"`,
      );
    if (isSame(key, "num_queues") && typeof value === "number" && value < 1)
      return ignored(`is ${value}, which counts as 1`);
    return [];
  });
}

function refusals(parse: KnownPlugin["parseConf"], document: Document, path: string): readonly LintFinding[] {
  try {
    parse(document);
    return [];
  } catch (error) {
    return [{ path, text: messageOf(error), effect: "refused" }];
  }
}

function schemaOf(properties: Readonly<Record<string, Schema>>, key: string): Schema | undefined {
  return Object.entries(properties).find(([known]) => isSame(known, key))?.[1];
}

/** Plugins match keys case-insensitively. */
function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

function under(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}
