/**
 * What an executable is built with. Four:
 *
 *     release        musl, static, the engine's heap an image in the file: what runs on nodes
 *     instrumented   the same with an engine that counts what it runs: what the release's is compiled by (scripts/build/training.ts)
 *     sanitized      the same parts by clang with the address and the undefined-behaviour sanitizer and this machine's libc: what tests run
 *     stock          musl, static, the engine as it is published but for its bugs, malloc, no image: whether a fault is of our own making
 */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const nativeDirectory = join(root, "src/host/native");
export const engineDirectory = join(root, "build/engine");
/** Where executables of the sanitized build write what they find. */
export const findingsDirectory = join(root, "build/sanitized/findings");

export interface Toolchain {
  readonly compiler: string;
  readonly compilerFlags: readonly string[];
  readonly linkerFlags: readonly string[];
  /** The engine. */
  readonly library: string;
  /** C files of the host. */
  readonly sources: readonly string[];
  /** Where objects are kept. */
  readonly objectDirectory: string;
  /** Compiles JavaScript to the bytecode of that engine. */
  readonly mkbc: string;
  /** The heap of the engine made ready becomes part of the file; see image.c. */
  readonly hasImage: boolean;
  /** Starts what writes the image. */
  readonly imageRunner: readonly string[];
  /** Without the names of its functions. */
  readonly isStripped: boolean;
}

const sharedFlags = [
  ...["-std=gnu11", "-D_GNU_SOURCE"],
  ...["-Wall", "-Wextra", "-Werror", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wno-sign-conversion"],
  ...["-isystem", join(engineDirectory, "include")],
];
const patchedFlags = [...sharedFlags, "-isystem", join(engineDirectory, "source")];
const imageFlags = ["-Wl,--section-start=.image=0x40000000", "-Wl,--section-start=.programs=0x60000000"];

const releaseFlags = [
  ...["-O2", "-fstack-protector-strong", "-ffunction-sections", "-fdata-sections", "-fno-asynchronous-unwind-tables"],
];

export const release: Toolchain = {
  compiler: process.env.TORTIE_CC ?? "musl-gcc",
  compilerFlags: [...releaseFlags, ...patchedFlags],
  linkerFlags: [
    ...["-static", "-no-pie", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,-z,noexecstack"],
    ...imageFlags,
  ],
  library: join(engineDirectory, "target/libquickjs.a"),
  sources: hostSources(),
  objectDirectory: join(root, "build/host"),
  mkbc: join(engineDirectory, "mkbc"),
  hasImage: true,
  imageRunner: [],
  isStripped: true,
};

/** It writes its counts at exit, so it must not leave without. */
export const instrumented: Toolchain = {
  ...release,
  compilerFlags: [...release.compilerFlags, "-D_exit=exit"],
  linkerFlags: [...release.linkerFlags, "-fprofile-generate"],
  library: join(engineDirectory, "instrumented/libquickjs.a"),
  sources: [...hostSources(), ...cFiles(join(nativeDirectory, "instrumented"))],
  objectDirectory: join(root, "build/instrumented/host"),
};

/** As `scripts/engine --sanitized` compiles the engine, and with what the engine is not held to. */
const sanitizers = ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"];

export const sanitized: Toolchain = {
  compiler: process.env.TORTIE_SANITIZED_CC ?? "clang-14",
  compilerFlags: [
    ...["-O1", "-g", "-fno-omit-frame-pointer", ...sanitizers, "-fsanitize=fuzzer-no-link"],
    `-DTORTIE_FINDINGS=${JSON.stringify(findingsDirectory)}`,
    // At fixed addresses, which an image needs.
    "-fno-pie",
    ...patchedFlags,
  ],
  linkerFlags: [...sanitizers, "-no-pie", "-Wl,-z,noexecstack", ...imageFlags],
  library: join(engineDirectory, "sanitized/libquickjs.a"),
  sources: [...hostSources(), ...cFiles(join(nativeDirectory, "sanitized"))],
  objectDirectory: join(root, "build/sanitized/host"),
  mkbc: join(engineDirectory, "mkbc"),
  hasImage: true,
  // Libraries lie at random addresses else, halves of which remain where the engine writes the other half alone.
  imageRunner: ["setarch", "--addr-no-randomize"],
  isStripped: false,
};

/** As `scripts/engine --stock` compiles the engine. */
export const stock: Toolchain = {
  ...release,
  compilerFlags: [...releaseFlags, "-DTORTIE_STOCK", ...sharedFlags, "-isystem", join(engineDirectory, "stock/source")],
  library: join(engineDirectory, "stock/libquickjs.a"),
  sources: [
    ...hostSources().filter((file) => !/\/(heap|birth)\.c$/.test(file)),
    ...cFiles(join(nativeDirectory, "stock")),
  ],
  objectDirectory: join(root, "build/stock/host"),
  mkbc: join(engineDirectory, "stock/mkbc"),
  hasImage: false,
};

/** All but what runs at build time. */
function hostSources(): readonly string[] {
  return cFiles(nativeDirectory).filter((file) => !file.endsWith("/mkbc.c"));
}

function cFiles(directory: string): readonly string[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith(".c"))
    .map((file) => join(directory, file));
}
