/** Bundles the operator's command with all that it needs of npm into one file, `dist/tortie.js`. */
import { chmodSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

export interface CliBundle {
  /** The root of the repository. */
  readonly root: string;
  /** Constants in the program, as JSON. */
  readonly define: Readonly<Record<string, string>>;
}

/** Packages that are CommonJS ask for Node's modules by `require`. */
const banner = `#!/usr/bin/env node
import { createRequire as __createRequire } from "node:module";
import { dirname as __dirnameOf } from "node:path";
import { fileURLToPath as __pathOf } from "node:url";
const require = __createRequire(import.meta.url);
const __filename = __pathOf(import.meta.url);
const __dirname = __dirnameOf(__filename);`;

export async function buildCli({ root, define }: CliBundle): Promise<void> {
  const start = performance.now();
  const target = join(root, "dist/tortie.js");
  // Whoever runs the old one meanwhile has it whole.
  const neighbour = join(root, `dist/.tortie-${process.pid}.js`);
  await build({
    entryPoints: [join(root, "src/cli/main.ts")],
    outfile: neighbour,
    bundle: true,
    platform: "node",
    target: "node18.19",
    format: "esm",
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
    banner: { js: banner },
    define: { ...define },
    logLevel: "warning",
  });
  chmodSync(neighbour, 0o755);
  renameSync(neighbour, target);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  process.stderr.write(`build: dist/tortie.js: ${statSync(target).size} bytes, in ${seconds} s\n`);
}
