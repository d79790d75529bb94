/**
 * What an executable is built with. Three:
 *
 *     release        musl, static, the engine's heap an image in the file: what runs on nodes
 *     instrumented   the same with an engine that counts what it runs: what the release's is compiled by (scripts/build/training.ts)
 *     sanitized      clang with the address and the undefined-behaviour sanitizer, this machine's libc, malloc, no image: what tests run
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
  /** The heap of the engine made ready becomes part of the file; see image.c. */
  readonly hasImage: boolean;
}

const sharedFlags = [
  ...["-std=gnu11", "-D_GNU_SOURCE"],
  ...["-Wall", "-Wextra", "-Werror", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wno-sign-conversion"],
  ...["-isystem", join(engineDirectory, "source"), "-isystem", join(engineDirectory, "include")],
];

export const release: Toolchain = {
  compiler: process.env.TORTIE_CC ?? "musl-gcc",
  compilerFlags: ["-O2", "-ffunction-sections", "-fdata-sections", "-fno-asynchronous-unwind-tables", ...sharedFlags],
  linkerFlags: [
    ...["-static", "-no-pie", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,-z,noexecstack"],
    ...["-Wl,--section-start=.image=0x40000000", "-Wl,--section-start=.programs=0x60000000"],
  ],
  library: join(engineDirectory, "target/libquickjs.a"),
  sources: hostSources(),
  objectDirectory: join(root, "build/host"),
  hasImage: true,
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
    ...sharedFlags,
  ],
  linkerFlags: [...sanitizers, "-Wl,-z,noexecstack"],
  library: join(engineDirectory, "sanitized/libquickjs.a"),
  sources: [
    ...hostSources().filter((file) => !file.endsWith("/heap.c")),
    ...cFiles(join(nativeDirectory, "sanitized")),
  ],
  objectDirectory: join(root, "build/sanitized/host"),
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
