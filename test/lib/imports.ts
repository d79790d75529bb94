/** What the sources import and export, read from their text, for tests of the architecture. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export interface Import {
  /** Relative to the repository, as `target` unless that is a package, a module of Node or one that the build provides (`#…`). */
  readonly file: string;
  readonly target: string;
  readonly typeOnly: boolean;
  /** Imports by name. */
  readonly names: readonly string[];
}

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** The paths of a directory's sources, including those below it. `build/plugins` contains JavaScript. */
export function sourcesIn(directory: string): readonly string[] {
  return readdirSync(join(root, directory), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /(?<!\.d)\.[tj]s$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)));
}

/** The imports of a file and of the programs in its texts, which the build or a test compiles. */
export function importsIn(file: string): readonly Import[] {
  const found = textOf(file).matchAll(/^[ `]*(?:import|export)\s+(type\s+)?(?:([^"';]*?)\sfrom\s+)?"([^"]+)";/gm);
  return [...found].map(([, typeOnly, clause = "", specifier = ""]) => ({
    file,
    target: specifier.startsWith(".") ? targetOf(file, specifier) : specifier,
    typeOnly: typeOnly !== undefined,
    names: [...clause.matchAll(/(?:[{,]|^)\s*(?:type\s+)?(\w+|\*)/g)].map(([, name = ""]) => name),
  }));
}

/** A program in a text names files relative to the repository. */
function targetOf(file: string, specifier: string): string {
  const besides = relative(root, resolve(root, dirname(file), specifier));
  return existsSync(join(root, besides)) ? besides : relative(root, resolve(root, specifier));
}

/** Functions, constants and classes. A type may exist only for the signature of a function. */
export function exportsIn(file: string): readonly string[] {
  const found = textOf(file).matchAll(/^export (?:abstract )?(?:async )?(?:function\*?|const|class) (\w+)/gm);
  return [...found].map(([, name = ""]) => name);
}

export function textOf(file: string): string {
  return readFileSync(join(root, file), "utf8");
}
