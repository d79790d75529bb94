/** The output of a plugin, byte for byte: results and errors with the reference plugins' indentation, and the "about" text. */
import { resultAs } from "../cni/convert.ts";
import type { CniError } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import { type CniVersion, supportedVersions } from "../cni/version.ts";
import { commit, engine, version } from "./build-info.ts";

export const latestVersion = "1.1.0" satisfies CniVersion;

/** Throws `CniError` 1 if the version cannot represent the result. */
export function resultText(result: Result, cniVersion: CniVersion): string {
  return JSON.stringify(resultAs(result, cniVersion), undefined, 4);
}

/** With `cniVersion`, as the specification requires and the reference plugins omit. */
export function errorText({ code, message, details }: CniError, cniVersion: string): string {
  const body = { cniVersion, code, msg: message, ...(details && { details }) };
  return JSON.stringify(body, undefined, 4);
}

/** The answer to VERSION. */
export function versionsText(cniVersion: string): string {
  return `${JSON.stringify({ cniVersion, supportedVersions })}\n`;
}

/** The output without CNI_COMMAND, in the reference plugins' words, which nerdctl parses. */
export function aboutText(name: string): string {
  return `CNI ${name} plugin v${version}\nCNI protocol versions supported: ${supportedVersions.join(", ")}\n`;
}

export function buildText(name: string): string {
  return `${name} ${version} (Tortie), commit ${commit}, engine ${engine}\n`;
}
