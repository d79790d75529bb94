/**
 * Limits the protocol versions that a network configuration offers to those that every plugin of its chain supports.
 *
 * A runtime picks the newest version that both it and the file know, without asking the plugins. A plugin that does not support it would fail
 * every ADD.
 */
import { listed } from "../ui/listed.ts";
import type { Conflist } from "./conflist.ts";

/** The versions that an executable of the chain will support after the installation. */
export interface PluginVersions {
  readonly name: string;
  readonly path: string;
  readonly versions: readonly string[];
}

export interface OfferedVersions {
  /** The text to install. */
  readonly text: string;
  /** The changes, and those that were not possible. */
  readonly notes: readonly string[];
}

/** `speakers` omits executables that are missing or do not answer, because their versions are unknown. */
export function commonVersions(
  { text, path }: Pick<Conflist, "text" | "path">,
  speakers: readonly PluginVersions[],
): OfferedVersions {
  const document = JSON.parse(text) as { readonly cniVersion?: string; readonly cniVersions?: readonly string[] };
  const { cniVersion = "0.1.0", cniVersions = [] } = document;
  const unspoken = (version: string) => speakers.filter(({ versions }) => !versions.includes(version));
  const spoken = cniVersions.filter((version) => unspoken(version).length === 0);
  const dropped = cniVersions.filter((version) => unspoken(version).length > 0);
  const canDrop = spoken.length > 0 && unspoken(cniVersion).length === 0;
  if (dropped.length > 0 && canDrop) {
    const who = speakers.filter(({ versions }) => dropped.some((version) => !versions.includes(version)));
    const note = `"${path}" offers ${listed(spoken)}, and not ${listed(dropped)}: ${tellWho(who, dropped)}`;
    return { text: withVersions(text, spoken), notes: [note] };
  }
  const newest = [cniVersion, ...cniVersions].filter((version) => unspoken(version).length > 0);
  const notes = newest.map(
    (version) => `"${path}" offers version ${version}: ${tellWho(unspoken(version), [version])}`,
  );
  return { text, notes: notes.map((note) => `${note}, so ADD would fail`) };
}

function tellWho(speakers: readonly PluginVersions[], versions: readonly string[]): string {
  const they = speakers.length === 1 ? "does" : "do";
  return `${listed(speakers.map(({ path }) => `"${path}"`))} ${they} not speak ${versions.length === 1 ? "it" : "them"}`;
}

/** Replaces the versions only; the rest of the file keeps its layout. */
function withVersions(text: string, versions: readonly string[]): string {
  return text.replace(
    /("cniVersions"\s*:\s*)\[([^\]]*)\]/,
    (_, key: string, items: string) => `${key}[${inLayoutOf(items, versions)}]`,
  );
}

/** In the layout of the original: one item per line, or all on one line. */
function inLayoutOf(items: string, versions: readonly string[]): string {
  const [, before = "", between = ", ", after = ""] = /^(\s*)"[^"]*"(?:(\s*,\s*)"[^"]*")*(\s*)$/.exec(items) ?? [];
  return `${before}${versions.map((version) => JSON.stringify(version)).join(between)}${after}`;
}
