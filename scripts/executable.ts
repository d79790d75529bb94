/**
 * Makes one static executable out of JavaScript programs and the native host:
 *
 *   entry.ts --esbuild--> <name>.js --mkbc--> <name>.bytecode --\
 *                  \--> source map -----> <name>.lines      -----+--> one static file, linked under each name
 *   src/host/native/*.c --musl-gcc--> *.o, libquickjs.a --------/
 *
 * Every step is skipped when what goes into it is unchanged. Programs may come in only from this repository: nothing of npm
 * runs on a node.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { eachMapping, TraceMap } from "@jridgewell/trace-mapping";
import { build } from "esbuild";
import { encodeLineTable, type SourceLine } from "../src/host/stack.ts";

const run = promisify(execFile);
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const engine = join(root, "build/engine");
const nativeFolder = join(root, "src/host/native");
const compiler = process.env.TORTIE_CC ?? "musl-gcc";
const compilerFlags = [
  ...[
    "-std=gnu11",
    "-O2",
    "-D_GNU_SOURCE",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-asynchronous-unwind-tables",
  ],
  ...["-Wall", "-Wextra", "-Werror", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wno-sign-conversion"],
  ...["-isystem", join(engine, "source"), "-isystem", join(engine, "include")],
];

export interface ExecutableOptions {
  /** Name of a program to the text of its entry module; paths in it are relative to the root of the repository. */
  readonly programs: Readonly<Record<string, string>>;
  /** Where intermediate files live: one folder per executable, below `build/`. */
  readonly workFolder: string;
  /** Where the names go. Names of programs that are no more are removed. */
  readonly targetFolder: string;
  /** Constants in the programs, as JSON. */
  readonly define: Readonly<Record<string, string>>;
}

/** Builds and installs. Returns the size of the executable in bytes. */
export async function buildExecutable(options: ExecutableOptions): Promise<number> {
  mkdirSync(options.workFolder, { recursive: true });
  const names = Object.keys(options.programs).sort();
  const [objects] = await Promise.all([
    compileHost(),
    ...names.map((name) => compileProgram(name, options.programs[name] ?? "", options)),
  ]);
  const executable = await link(names, objects, options.workFolder);
  install(executable, names, options.targetFolder);
  return statSync(executable).size;
}

async function compileProgram(name: string, entry: string, options: ExecutableOptions): Promise<void> {
  const result = await build({
    stdin: { contents: entry, resolveDir: root, sourcefile: `${name}-entry.ts`, loader: "ts" },
    absWorkingDir: root,
    outfile: join(options.workFolder, `${name}.js`),
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
    define: { ...options.define },
    logLevel: "error",
  });
  const foreign = Object.keys(result.metafile.inputs).find((input) => input.includes("node_modules/"));
  if (foreign !== undefined) {
    throw new Error(`cannot bundle "${name}": it reaches ${foreign}, and nothing of npm may run on a node`);
  }
  const text = (suffix: string) => result.outputFiles.find((file) => file.path.endsWith(suffix))?.text ?? "";
  const script = join(options.workFolder, `${name}.js`);
  if (writeIfChanged(script, text(".js")) || !existsSync(join(options.workFolder, `${name}.bytecode`))) {
    const bytecode = join(options.workFolder, `${name}.bytecode`);
    await run(join(engine, "mkbc"), [script, name, `${bytecode}.new`]);
    renameSync(`${bytecode}.new`, bytecode);
  }
  writeIfChanged(join(options.workFolder, `${name}.lines`), lineTable(text(".js.map"), options.workFolder));
}

/** The first place of each line of the bundle: esbuild prints a statement per line, so that is close enough. */
function lineTable(sourceMap: string, folder: string): string {
  const lines: SourceLine[] = [];
  eachMapping(new TraceMap(sourceMap), ({ generatedLine, source, originalLine }) => {
    if (source === null || originalLine === null || lines[generatedLine - 1] !== undefined) return;
    lines[generatedLine - 1] = { source: join(folder, source).replace(`${root}/`, ""), line: originalLine };
  });
  return encodeLineTable(Array.from(lines));
}

/** One object per C file, under a name that says what it was made of. */
async function compileHost(): Promise<readonly string[]> {
  const folder = join(root, "build/host");
  mkdirSync(folder, { recursive: true });
  const shared = [compiler, ...compilerFlags, read(join(nativeFolder, "host.h")), read(join(engine, "stamp"))];
  const sources = readdirSync(nativeFolder).filter((file) => file.endsWith(".c") && file !== "mkbc.c");
  const objects = sources.map((file) => ({
    source: join(nativeFolder, file),
    object: join(folder, `${basename(file, ".c")}-${digest([...shared, read(join(nativeFolder, file))])}.o`),
  }));
  const wanted = new Set(objects.map(({ object }) => basename(object)));
  await Promise.all(
    objects
      .filter(({ object }) => !existsSync(object))
      .map(async ({ source, object }) => {
        const temporary = `${object}.${process.pid}`;
        await run(compiler, [...compilerFlags, "-c", source, "-o", temporary]);
        renameSync(temporary, object);
      }),
  );
  for (const file of readdirSync(folder)) {
    if (file.endsWith(".o") && !wanted.has(file)) rmSync(join(folder, file));
  }
  return objects.map(({ object }) => object);
}

async function link(names: readonly string[], objects: readonly string[], folder: string): Promise<string> {
  const executable = join(folder, "executable");
  const table = join(folder, "bundles.c");
  writeFileSync(table, bundleTable(names, folder));
  const inputs = [...objects, table, ...names.flatMap((name) => bundleFiles(name, folder))];
  const stamp = digest(inputs.map((file) => (file.endsWith(".o") ? file : read(file))));
  if (existsSync(executable) && existsSync(`${executable}.stamp`) && read(`${executable}.stamp`) === stamp) {
    return executable;
  }
  const temporary = `${executable}.${process.pid}`;
  const linkerFlags = ["-static", "-no-pie", "-s", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,-z,noexecstack"];
  await run(compiler, [
    ...compilerFlags,
    ...linkerFlags,
    ...["-o", temporary, table, ...objects, join(engine, "target/libquickjs.a"), "-lm"],
  ]);
  renameSync(temporary, executable);
  writeFileSync(`${executable}.stamp`, stamp);
  return executable;
}

function bundleFiles(name: string, folder: string): readonly [bytecode: string, lines: string] {
  return [join(folder, `${name}.bytecode`), join(folder, `${name}.lines`)];
}

/** `bundles[]` of host.h. The linker copies the files as they are. */
function bundleTable(names: readonly string[], folder: string): string {
  const blobs = names.flatMap((name, index) => {
    const [bytecode, lines] = bundleFiles(name, folder);
    return [blob(`bytecode${index}`, bytecode), blob(`lines${index}`, lines)];
  });
  const rows = names.map(
    (name, i) =>
      `    {${JSON.stringify(name)}, bytecode${i}, bytecode${i}_end, (const char *)lines${i}, (const char *)lines${i}_end},`,
  );
  return [
    '#include "host.h"',
    ...blobs,
    `const Bundle bundles[] = {\n${rows.join("\n")}\n};`,
    `const int bundle_count = ${names.length};\n`,
  ]
    .join("\n")
    .replace('"host.h"', JSON.stringify(join(nativeFolder, "host.h")));
}

function blob(symbol: string, file: string): string {
  const assembly = [
    ".pushsection .rodata",
    ".balign 16",
    `${symbol}:`,
    `.incbin ${JSON.stringify(file)}`,
    `${symbol}_end:`,
    ".byte 0",
    ".popsection",
  ];
  return `__asm__(${assembly.map((line) => JSON.stringify(`${line}\n`)).join(" ")});
extern const uint8_t ${symbol}[], ${symbol}_end[];`;
}

/** Renames over each name, so that a plugin that runs is not disturbed and a name is never missing. */
function install(executable: string, names: readonly string[], folder: string): void {
  mkdirSync(folder, { recursive: true });
  const inode = statSync(executable).ino;
  for (const name of names) {
    const target = join(folder, name);
    if (existsSync(target) && statSync(target).ino === inode) continue;
    const temporary = join(folder, `.${name}.${process.pid}`);
    linkSync(executable, temporary);
    renameSync(temporary, target);
  }
  for (const file of readdirSync(folder)) {
    if (!names.includes(file)) rmSync(join(folder, file), { recursive: true });
  }
}

function read(path: string): string {
  return readFileSync(path, "latin1");
}

function digest(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

function writeIfChanged(path: string, text: string): boolean {
  if (existsSync(path) && readFileSync(path, "utf8") === text) return false;
  writeFileSync(path, text);
  return true;
}
