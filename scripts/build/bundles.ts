/**
 * The JavaScript of an executable: the bundle of the programs in the image, and that of the programs outside of it.
 *
 *     image      every module that one of its programs reaches; the global list `bundle` has what the other needs of them
 *     later      the modules that only its programs reach; `const name$3 = bundle[7]`
 */
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { eachMapping, TraceMap } from "@jridgewell/trace-mapping";
import { type BuildResult, build, type Plugin } from "esbuild";
import type { SourceLine } from "../../src/host/stack.ts";
import type { ExecutableOptions } from "./executable.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

export interface Bundle {
  readonly text: string;
  /** The source map. */
  readonly map: string;
}

/** Programs may import only from this repository. Throws if they reach npm's code. */
export async function bundlesOf(options: ExecutableOptions): Promise<readonly [image: Bundle, later: Bundle]> {
  const { programs, later = {} } = options;
  const alone = await bundle(options, { programs, plugins: [] });
  if (Object.keys(later).length === 0) return [bundleIn(alone), { text: "", map: emptyMap }];
  const shared = Object.keys(alone.metafile.inputs).filter((input) => !input.includes(":"));
  const rest = bundleIn(await bundle(options, { programs: later, plugins: [importsOfImage(shared)] }));
  const names = usedOfImage(rest.text);
  const text = rest.text.replace(importOfImage, (_, list: string) => takenOfImage(namesIn(list), names));
  const exports = exportsFor(names, shared);
  return [bundleIn(await bundle(options, { programs, plugins: [], exports })), { ...rest, text }];
}

const emptyMap = JSON.stringify({ version: 3, sources: [], names: [], mappings: "" });

interface Contents {
  readonly programs: Readonly<Record<string, string>>;
  readonly plugins: readonly Plugin[];
  /** Further lines of the entry module. */
  readonly exports?: readonly string[];
}

/** One module, so that shared code is in it once. */
async function bundle({ workDirectory, define }: ExecutableOptions, { programs, plugins, exports = [] }: Contents) {
  const names = Object.keys(programs).sort();
  const entry = [
    ...names.map((name, index) => `import { main as main${index} } from "program:${name}";`),
    `export const mains = { __proto__: null, ${names.map((name, index) => `${JSON.stringify(name)}: main${index}`).join(", ")} };`,
    ...exports,
  ];
  const result = await build({
    stdin: { contents: entry.join("\n"), resolveDir: root, sourcefile: "mains.ts", loader: "ts" },
    plugins: [programModules(programs), ...plugins],
    absWorkingDir: root,
    outfile: join(workDirectory, "bundle.js"),
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "neutral",
    target: "es2023",
    charset: "utf8",
    legalComments: "none",
    sourcemap: "external",
    sourcesContent: false,
    define: { ...define },
    logLevel: "error",
  });
  const foreign = Object.keys(result.metafile.inputs).find((input) => input.includes("node_modules/"));
  if (foreign === undefined) return result;
  throw new Error(`cannot bundle ${names.join(", ")}: ${foreign} is reached, and nothing of npm may run on a node`);
}

function bundleIn({ outputFiles = [] }: BuildResult): Bundle {
  const text = (suffix: string) => outputFiles.find((file) => file.path.endsWith(suffix))?.text ?? "";
  return { text: text(".js"), map: text(".js.map") };
}

/** Resolves `program:<name>` to the source of that program. */
function programModules(programs: Readonly<Record<string, string>>): Plugin {
  return {
    name: "programs",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^program:/ }, ({ path }) => ({ path: path.slice("program:".length), namespace: "program" }));
      onLoad({ filter: /.*/, namespace: "program" }, ({ path }) => ({
        contents: programs[path] ?? "",
        resolveDir: root,
        loader: "ts",
      }));
    },
  };
}

/** Replaces each of the image's modules by one that imports its exports from the image. */
function importsOfImage(shared: readonly string[]): Plugin {
  return {
    name: "image",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^bundle$/ }, () => ({ path: "bundle", external: true, sideEffects: false }));
      onResolve({ filter: /^\.{1,2}\// }, ({ path, resolveDir }) => {
        const file = relative(root, resolve(resolveDir, path));
        return shared.includes(file) ? { path: file, namespace: "image", sideEffects: false } : undefined;
      });
      onLoad({ filter: /.*/, namespace: "image" }, ({ path }) => {
        const names = exportsOf(path).map((name) => `${name}$${shared.indexOf(path)} as ${name}`);
        return { contents: `export { ${names.join(", ")} } from "bundle";`, loader: "js" };
      });
    },
  };
}

/** The functions, constants and classes that a module exports. */
function exportsOf(file: string): readonly string[] {
  const text = readFileSync(join(root, file), "utf8");
  const found = text.matchAll(/^export (?:abstract )?(?:async )?(?:function\*?|const|class) (\w+)/gm);
  return Array.from(found, ([, name = ""]) => name);
}

const importOfImage = /^import \{([^}]*)\} from "bundle";$/gm;

/** The names of the image that the bundle uses: esbuild keeps all names of an import from outside. */
function usedOfImage(bundle: string): readonly string[] {
  const imported = new Set(Array.from(bundle.matchAll(importOfImage), ([, list = ""]) => namesIn(list)).flat());
  const words = bundle.replace(importOfImage, "").matchAll(/\w+\$\d+/g);
  return [...new Set(Array.from(words, ([word]) => word).filter((word) => imported.has(word)))];
}

/** By its place in a list, because names would take ten times the bytes. */
function takenOfImage(names: readonly string[], used: readonly string[]): string {
  const taken = names.filter((name) => used.includes(name));
  return taken.map((name) => `const ${name} = bundle[${used.indexOf(name)}];`).join(" ");
}

/** The lines by which the image offers what the other bundle takes. */
function exportsFor(names: readonly string[], shared: readonly string[]): readonly string[] {
  const imports = names.map((mangled) => {
    const [name, index] = mangled.split("$");
    return `import { ${name} as ${mangled} } from "./${shared[Number(index)]}";`;
  });
  return [...imports, `globalThis.bundle = [${names.join(", ")}];`];
}

function namesIn(list: string): readonly string[] {
  return list
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);
}

/** The first source position of each line of a bundle: esbuild prints one statement per line, so that is precise enough. */
export function sourceLines(sourceMap: string, directory: string): readonly SourceLine[] {
  const lines: SourceLine[] = [];
  eachMapping(new TraceMap(sourceMap), ({ generatedLine, source, originalLine }) => {
    if (source === null || originalLine === null || lines[generatedLine - 1] !== undefined) return;
    const path = source.includes(":") ? source : join(directory, source).replace(`${root}/`, "");
    lines[generatedLine - 1] = { source: path, line: originalLine };
  });
  return Array.from(lines);
}
