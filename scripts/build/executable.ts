/**
 * Builds one executable from JavaScript programs and the native host, by default with the release toolchain:
 *
 *   programs --esbuild--> bundle.js --mkbc--> bundle.bytecode --run once--> image.bin --\
 *                  \---> later.js --mkbc--> later.bytecode ------------------------------+
 *                  \--> source map --> bundle.lines ------------------------------------+--> one static file,
 *   src/host/native/*.c --musl-gcc--> *.o, libquickjs.a ---------------------------------/     linked under each name
 *
 * A step is skipped if its inputs are unchanged. Programs may import only from this repository: no code from npm runs on a node.
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
import { nodeSys } from "../../src/host/node/node.ts";
import { encodeLineTable } from "../../src/host/stack.ts";
import { makeBuiltins } from "./builtins.ts";
import { bundlesOf, sourceLines } from "./bundles.ts";
import { engineDirectory, release, type Toolchain } from "./toolchain.ts";

const run = promisify(execFile);
const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const hostHeader = join(root, "src/host/native/host.h");
const engineHeader = join(engineDirectory, "source/quickjs.h");
/** One build at a time: they share the host's object files. */
const lockMs = 60_000;
/** More than all programs need once they are loaded. */
const imageRoom = 64 << 20;

export interface ExecutableOptions {
  /**
   * Maps the name of a program to the source of its entry module, which exports the function `main`. Paths in it are relative to the root of
   * the repository. The build evaluates the top level of each module, so it must not depend on the machine.
   */
  readonly programs: Readonly<Record<string, string>>;
  /**
   * Programs outside of the image, whose own code is loaded when they run: it takes a third of the bytes, and a millisecond. They import from the
   * image what `programs` contain anyway.
   */
  readonly later?: Readonly<Record<string, string>>;
  /** Directory of intermediate files below `build/`: one per executable. */
  readonly workDirectory: string;
  /** Directory of the links to `programs`; those to `later` are in the one above. Links to programs that no longer exist are removed. */
  readonly targetDirectory: string;
  /** Constants that replace identifiers in the programs, as JSON. */
  readonly define: Readonly<Record<string, string>>;
}

/** Builds and installs. Returns the size of the executable in bytes. */
export async function buildExecutable(options: ExecutableOptions, toolchain = release): Promise<number> {
  mkdirSync(options.workDirectory, { recursive: true });
  const lock = nodeSys.lock(join(root, "build/executable.lock"), "exclusive", lockMs);
  try {
    const [objects] = await Promise.all([compileHost(toolchain), compileBundle(options, toolchain)]);
    const executable = await link(toolchain, objects, options.workDirectory);
    const { programs, later = {}, targetDirectory } = options;
    install(executable, Object.keys(programs), targetDirectory);
    for (const file of readdirSync(targetDirectory)) {
      if (!(file in programs)) rmSync(join(targetDirectory, file), { recursive: true });
    }
    install(executable, Object.keys(later), dirname(targetDirectory));
    return statSync(executable).size;
  } finally {
    nodeSys.unlock(lock);
  }
}

/** Compiles the bundle of the image, and that of the programs outside of it, whose lines are numbered on from the first one's. */
async function compileBundle(options: ExecutableOptions, { mkbc }: Toolchain): Promise<void> {
  const { workDirectory } = options;
  const [bundle, later] = await bundlesOf(options);
  const before = "\n".repeat(bundle.text.split("\n").length);
  const builtins = makeBuiltins(bundle.text + later.text);
  await compile("bundle", bundle.text + builtins, workDirectory, mkbc);
  await compile("later", before + later.text, workDirectory, mkbc);
  const lines = [...sourceLines(bundle.map, workDirectory)];
  lines.length = before.length;
  writeIfChanged(
    join(workDirectory, "bundle.lines"),
    encodeLineTable([...lines, ...sourceLines(later.map, workDirectory)]),
  );
}

async function compile(name: string, script: string, directory: string, mkbc: string): Promise<void> {
  const [source, bytecode] = [join(directory, `${name}.js`), join(directory, `${name}.bytecode`)];
  if (!writeIfChanged(source, script) && existsSync(bytecode) && !isOlder(bytecode, mkbc)) return;
  rmSync(bytecode, { force: true });
  await run(mkbc, [source, name, `${bytecode}.new`]);
  renameSync(`${bytecode}.new`, bytecode);
}

/** Compiles one object per C file, named by a hash of its inputs. */
async function compileHost({
  compiler,
  compilerFlags,
  sources,
  objectDirectory,
}: Toolchain): Promise<readonly string[]> {
  mkdirSync(objectDirectory, { recursive: true });
  const shared = [compiler, ...compilerFlags, read(hostHeader), read(engineHeader)];
  const objects = sources.map((source) => ({
    source,
    object: join(objectDirectory, `${basename(source, ".c")}-${digest([...shared, read(source)])}.o`),
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
  for (const file of readdirSync(objectDirectory)) {
    if (file.endsWith(".o") && !wanted.has(file)) rmSync(join(objectDirectory, file));
  }
  return objects.map(({ object }) => object);
}

async function link(toolchain: Toolchain, objects: readonly string[], directory: string): Promise<string> {
  const executable = join(directory, "executable");
  const inputs = ["bundle.bytecode", "later.bytecode", "bundle.lines"].map((file) => read(join(directory, file)));
  const library = statSync(toolchain.library).mtimeMs;
  const stamp = digest([
    ...objects,
    ...inputs,
    ...toolchain.linkerFlags,
    `${library}`,
    read(fileURLToPath(import.meta.url)),
  ]);
  if (existsSync(executable) && existsSync(`${executable}.stamp`) && read(`${executable}.stamp`) === stamp) {
    return executable;
  }
  const temporary = `${executable}.${process.pid}`;
  if (toolchain.hasImage) await linkWithImage(toolchain, temporary, objects, directory);
  else await linkOnce(toolchain, temporary, objects, blobTable(directory, {}));
  renameSync(temporary, executable);
  writeFileSync(`${executable}.stamp`, stamp);
  return executable;
}

/** Links twice: the first executable, when run, writes the image that the second one contains (see image.c). */
async function linkWithImage(
  toolchain: Toolchain,
  output: string,
  objects: readonly string[],
  directory: string,
): Promise<void> {
  const empty = join(directory, "image");
  await linkOnce(toolchain, empty, objects, blobTable(directory, {}));
  const image = join(directory, "image.bin");
  writeFileSync(image, await takeImage([...toolchain.imageRunner, empty]));
  await linkOnce(toolchain, output, objects, blobTable(directory, { image }));
  await refuseOtherLayout(empty, output);
  if (toolchain.isStripped) await run("strip", [output]);
}

/**
 * The first run is a rehearsal: it reports the lifetimes of the engine's blocks, which the later runs read (image_heap.c). Two of the later runs
 * that differ reveal a module whose top level depends on the time, the environment or the like. Both names have the same length: otherwise
 * strings of the environment would be at other addresses, and the sanitized build leaves parts of such pointers in the unused half of a value.
 */
export async function takeImage(command: readonly string[]): Promise<Buffer> {
  const lifetimes = await runImage(command, "rehearsal", Buffer.alloc(0));
  const [one, other] = await Promise.all(["one", "two"].map((name) => runImage(command, name, lifetimes)));
  if (one === undefined || other === undefined || !one.equals(other)) {
    throw new Error(
      "cannot take an image of the programs: the top level of some module asks the process or the machine for something",
    );
  }
  return one;
}

async function runImage([program = "", ...argv]: readonly string[], name: string, input: Buffer): Promise<Buffer> {
  const options = {
    encoding: "buffer",
    env: { PATH: "/usr/bin:/bin", RUN: name },
    maxBuffer: imageRoom,
    timeout: 20_000,
  } as const;
  const running = run(program, argv, options);
  running.child.stdin?.end(input);
  try {
    return (await running).stdout;
  } catch (error) {
    const { stdout } = error as { readonly stdout?: Buffer };
    throw new Error(`cannot take an image of the programs: ${stdout?.toString() || String(error)}`);
  }
}

/** Code and data must be at fixed addresses; `image.c` explains why. */
async function refuseOtherLayout(one: string, other: string): Promise<void> {
  const symbols = async (file: string) => {
    const { stdout } = await run("nm", [file], { maxBuffer: 64 << 20 });
    const lines = stdout.split("\n").filter((line) => !/ (image_end|bytecode_end)$/.test(line));
    return lines.map((line) => line.replace(/ \w /, " "));
  };
  const [left, right] = await Promise.all([symbols(one), symbols(other)]);
  const moved = left.findIndex((line, index) => line !== right[index]);
  if (moved >= 0 || left.length !== right.length) {
    throw new Error(`cannot put the image into the executable: "${left[moved]}" became "${right[moved]}"`);
  }
}

async function linkOnce(
  { compiler, linkerFlags, library }: Toolchain,
  output: string,
  objects: readonly string[],
  table: string,
): Promise<void> {
  const source = `${output.replace(/\.\d+$/, "")}.blobs.s`;
  writeFileSync(source, table);
  await run(compiler, [...linkerFlags, "-o", output, source, ...objects, library, "-lm"]);
}

/** The bundle and room for the image, or the image, which contains the bundle. */
function blobTable(directory: string, { image }: { readonly image?: string }): string {
  const bytecode = image === undefined ? incbin(join(directory, "bundle.bytecode")) : "";
  const content = image === undefined ? `.skip ${imageRoom}` : incbin(image);
  return [
    section(`.image, "aw", ${image === undefined ? "@nobits" : "@progbits"}`, "image", content),
    section('.programs, "a"', "bytecode", bytecode),
    section(".rodata", "later", incbin(join(directory, "later.bytecode")), 8),
    section(".rodata", "lines", incbin(join(directory, "bundle.lines")), 8),
  ].join("\n");
}

/** Puts content between the symbols `<name>` and `<name>_end`. */
function section(where: string, name: string, content: string, alignment = 4096): string {
  const lines = [
    `.section ${where}`,
    `.globl ${name}, ${name}_end`,
    `.balign ${alignment}`,
    `${name}:`,
    content,
    `${name}_end:`,
  ];
  return `${[...lines, where.endsWith("@nobits") ? "" : ".byte 0"].join("\n")}\n`;
}

function incbin(file: string): string {
  return `.incbin ${JSON.stringify(file)}`;
}

/** Replaces each link by rename: a running plugin is not disturbed, and no name is ever missing. */
function install(executable: string, names: readonly string[], directory: string): void {
  mkdirSync(directory, { recursive: true });
  const inode = statSync(executable).ino;
  for (const name of names) {
    const target = join(directory, name);
    if (existsSync(target) && statSync(target).ino === inode) continue;
    const temporary = join(directory, `.${name}.${process.pid}`);
    linkSync(executable, temporary);
    renameSync(temporary, target);
  }
}

function read(path: string): string {
  return readFileSync(path, "latin1");
}

function isOlder(file: string, other: string): boolean {
  return statSync(file).mtimeMs < statSync(other).mtimeMs;
}

function digest(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

function writeIfChanged(path: string, text: string): boolean {
  if (existsSync(path) && readFileSync(path, "utf8") === text) return false;
  writeFileSync(path, text);
  return true;
}
