/**
 * The versions of the protocol that a network configuration offers, beside those that every plugin of its chain speaks.
 *
 * A runtime takes the newest version that the file offers and that it knows itself, and asks no plugin. One plugin of the chain that does not speak
 * it fails every ADD: so the file is installed with the versions that all speak.
 */
import { listed } from "../ui/listed.ts";
import type { Conflist } from "./conflist.ts";

/** What an executable of the chain speaks, as it will be after installing. */
export interface PluginVersions {
  readonly name: string;
  readonly path: string;
  readonly versions: readonly string[];
}

export interface OfferedVersions {
  /** The file as it is to be installed. */
  readonly text: string;
  /** What was changed, and what could not be. */
  readonly notes: readonly string[];
}

/** Executables that are missing, or that do not answer, speak nothing that is known: `speakers` is without them. */
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

/** Nothing else in the file is changed, not its layout either. */
function withVersions(text: string, versions: readonly string[]): string {
  return text.replace(
    /("cniVersions"\s*:\s*)\[([^\]]*)\]/,
    (_, key: string, items: string) => `${key}[${inLayoutOf(items, versions)}]`,
  );
}

/** As the items stood: each in a line of its own, or all in one. */
function inLayoutOf(items: string, versions: readonly string[]): string {
  const [, before = "", between = ", ", after = ""] = /^(\s*)"[^"]*"(?:(\s*,\s*)"[^"]*")*(\s*)$/.exec(items) ?? [];
  return `${before}${versions.map((version) => JSON.stringify(version)).join(between)}${after}`;
}
