/**
 * The four toolchains that build an executable:
 *
 *     release        musl, static, the engine's heap as an image in the file: runs on nodes
 *     instrumented   release with an engine that counts the code it executes; the profile for compiling the release engine (training.ts)
 *     sanitized      the same sources, with clang, its address and undefined-behaviour sanitizers and this machine's libc: for tests
 *     stock          musl, static, the engine as published with only its bugs fixed, malloc, no image: shows whether a fault is of our making
 */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const nativeDirectory = join(root, "src/host/native");
export const engineDirectory = join(root, "build/engine");
/** Directory for the reports of sanitized executables. */
export const findingsDirectory = join(root, "build/sanitized/findings");

export interface Toolchain {
  readonly compiler: string;
  readonly compilerFlags: readonly string[];
  readonly linkerFlags: readonly string[];
  /** The archive of the engine. */
  readonly library: string;
  /** The C files of the host. */
  readonly sources: readonly string[];
  /** Directory of the object files. */
  readonly objectDirectory: string;
  /** Compiler from JavaScript to the bytecode of that engine. */
  readonly mkbc: string;
  /** The initialized heap of the engine becomes part of the file; see image.c. */
  readonly hasImage: boolean;
  /** Command prefix for the program that writes the image. */
  readonly imageRunner: readonly string[];
  /** Whether function names are stripped. */
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

/** The counts are written by an exit handler, which `_exit` would skip. */
export const instrumented: Toolchain = {
  ...release,
  compilerFlags: [...release.compilerFlags, "-D_exit=exit"],
  linkerFlags: [...release.linkerFlags, "-fprofile-generate"],
  library: join(engineDirectory, "instrumented/libquickjs.a"),
  sources: [...hostSources(), ...cFiles(join(nativeDirectory, "instrumented"))],
  objectDirectory: join(root, "build/instrumented/host"),
};

/** The flags of `scripts/engine --sanitized`, plus the checks that the engine itself does not pass. */
const sanitizers = ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"];

export const sanitized: Toolchain = {
  compiler: process.env.TORTIE_SANITIZED_CC ?? "clang-14",
  compilerFlags: [
    ...["-O1", "-g", "-fno-omit-frame-pointer", ...sanitizers, "-fsanitize=fuzzer-no-link"],
    `-DTORTIE_FINDINGS=${JSON.stringify(findingsDirectory)}`,
    // An image needs fixed addresses.
    "-fno-pie",
    ...patchedFlags,
  ],
  linkerFlags: [...sanitizers, "-no-pie", "-Wl,-z,noexecstack", ...imageFlags],
  library: join(engineDirectory, "sanitized/libquickjs.a"),
  sources: [...hostSources(), ...cFiles(join(nativeDirectory, "sanitized"))],
  objectDirectory: join(root, "build/sanitized/host"),
  mkbc: join(engineDirectory, "mkbc"),
  hasImage: true,
  // With random library addresses, stale halves of pointers would differ where the engine writes only the other half of a value.
  imageRunner: ["setarch", "--addr-no-randomize"],
  isStripped: false,
};

/** The flags of `scripts/engine --stock`. */
export const stock: Toolchain = {
  ...release,
  compilerFlags: [...releaseFlags, "-DTORTIE_STOCK", ...sharedFlags, "-isystem", join(engineDirectory, "stock/source")],
  library: join(engineDirectory, "stock/libquickjs.a"),
  sources: [
    ...hostSources().filter((file) => !/\/(image_)?heap\.c$/.test(file)),
    ...cFiles(join(nativeDirectory, "stock")),
  ],
  objectDirectory: join(root, "build/stock/host"),
  mkbc: join(engineDirectory, "stock/mkbc"),
  hasImage: false,
};

/** All sources except those of programs that run at build time. */
function hostSources(): readonly string[] {
  return cFiles(nativeDirectory).filter((file) => !file.endsWith("/mkbc.c"));
}

function cFiles(directory: string): readonly string[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith(".c"))
    .map((file) => join(directory, file));
}
