/**
 * The configuration on stdin: the keys of the protocol, validated in the order of libcni's skeleton, with its messages and codes.
 *
 *     JSON (6) -> name (6, 7) -> known command (4) -> version (6, 1)
 *
 * A plugin's own keys are read by its `conf.ts`.
 */

import { isObject, type Schema } from "../schema/schema.ts";
import type { Command } from "./environment.ts";
import { isIdentifier } from "./environment.ts";
import { CniError, code } from "./error.ts";
import { foldKeys } from "./keys.ts";
import { type CniVersion, supportedVersions } from "./version.ts";

type JsonObject = Readonly<Record<string, unknown>>;

/** The keys of the protocol and of the log, in canonical spelling; their values are not validated. */
export interface ProtocolKeys {
  readonly cniVersion?: unknown;
  readonly name?: unknown;
  readonly prevResult?: unknown;
  readonly "cni.dev/valid-attachments"?: unknown;
  readonly log_level?: unknown;
  readonly log_file_path?: unknown;
  readonly log_file_max_size?: unknown;
  readonly log_file_max_age?: unknown;
  readonly log_file_max_count?: unknown;
}

export interface Document {
  /** The original text, and the parsed JSON. */
  readonly text: string;
  readonly document: JsonObject;
  readonly keys: ProtocolKeys;
}

const protocolSchema: Schema = {
  properties: {
    cniVersion: {},
    name: {},
    prevResult: {},
    "cni.dev/valid-attachments": { items: { properties: { containerID: {}, ifname: {} } } },
    log_level: {},
    log_file_path: {},
    log_file_max_size: {},
    log_file_max_age: {},
    log_file_max_count: {},
  },
};

/** Throws `CniError` 6 if the text is not a JSON object. As in Go, a bare `null` is an empty object. */
export function parseDocument(text: string): Document {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    // Also for JSON that is nested too deeply for the engine's stack.
    throw new CniError(code.decoding, `error unmarshall network config: ${(error as Error).message}`);
  }
  document ??= {};
  if (!isObject(document)) {
    throw new CniError(code.decoding, "error unmarshall network config: must be a JSON object");
  }
  return { text, document, keys: foldKeys(protocolSchema, document) as ProtocolKeys };
}

/** The network's name. Throws `CniError` 6 or 7. */
export function networkOf({ name }: ProtocolKeys): string {
  if (name !== undefined && typeof name !== "string") {
    throw new CniError(
      code.decoding,
      `error unmarshall network config: "name" must be a string, not ${JSON.stringify(name)}`,
    );
  }
  if (name === undefined || name === "") throw new CniError(code.invalidConfig, "missing network name");
  if (!isIdentifier(name)) throw new CniError(code.invalidConfig, "invalid characters found in network name", name);
  return name;
}

/** The version of the request. Throws `CniError` 6, or 1 if we or that version do not support the command. */
export function versionOf({ cniVersion }: ProtocolKeys, command: Command): CniVersion {
  if (cniVersion !== undefined && typeof cniVersion !== "string") {
    const found = JSON.stringify(cniVersion);
    throw new CniError(
      code.decoding,
      `decoding version from network config: "cniVersion" must be a string, not ${found}`,
    );
  }
  // The key did not exist before 0.2.0.
  const version = cniVersion === undefined || cniVersion === "" ? "0.1.0" : cniVersion;
  const since = command === "CHECK" ? "0.4.0" : command === "GC" || command === "STATUS" ? "1.1.0" : undefined;
  if (since !== undefined && isOlder(version, since)) {
    throw new CniError(code.incompatibleVersion, `config version does not allow ${command}`);
  }
  if (since !== undefined && isOlder(supportedVersions[supportedVersions.length - 1] ?? since, version)) {
    throw new CniError(code.incompatibleVersion, `plugin version does not allow ${command}`);
  }
  if (!isSupported(version)) {
    const supported = supportedVersions.map((one) => `"${one}"`).join(" ");
    throw new CniError(
      code.incompatibleVersion,
      "incompatible CNI versions",
      `config is ${JSON.stringify(version)}, plugin supports [${supported}]`,
    );
  }
  return version;
}

export function isSupported(version: string): version is CniVersion {
  return (supportedVersions as readonly string[]).includes(version);
}

/** Whether the first version is older than the second. Throws `CniError` 6 unless each is one to three numbers. */
function isOlder(one: string, other: string): boolean {
  const [a, b] = [numbersOf(one), numbersOf(other)];
  for (let i = 0; i < 3; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function numbersOf(version: string): readonly number[] {
  if (!/^\d+(\.\d+){0,2}$/.test(version)) {
    throw new CniError(
      code.decoding,
      `cannot parse cniVersion ${JSON.stringify(version)}: want "<major>.<minor>.<micro>"`,
    );
  }
  return version.split(".").map(Number);
}
