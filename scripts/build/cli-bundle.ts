/**
 * Bundles the operator's command with all that it needs of npm into one file, `dist/tortie.js`.
 *
 * Whether Node takes a file for a module or for CommonJS follows from its name, from a `package.json` in a directory above it, and from Node's
 * version. People copy this one to `/usr/local/bin/tortie`, so it is both: no import or export, no top-level `await`, and `require` comes from
 * `import()`, which either has.
 */
import { chmodSync, renameSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { build } from "esbuild";

export interface CliBundle {
  /** The root of the repository. */
  readonly root: string;
  /** `dist/tortie.js` without. */
  readonly target?: string;
  /** Constants in the program, as JSON. */
  readonly define: Readonly<Record<string, string>>;
}

const banner = `#!/usr/bin/env node
"use strict";
import("node:module").then(({ createRequire }) => {
const require = createRequire("file:///tortie.js"), module = { exports: {} };
const __filename = process.argv[1], __dirname = require("node:path").dirname(__filename);
const __url = require("node:url").pathToFileURL(__filename).href;`;

export async function buildCli({ root, define, target = join(root, "dist/tortie.js") }: CliBundle): Promise<void> {
  const start = performance.now();
  // Whoever runs the old one meanwhile has it whole.
  const neighbour = join(dirname(target), `.tortie-${process.pid}.js`);
  await build({
    entryPoints: [join(root, "src/cli/main.ts")],
    outfile: neighbour,
    bundle: true,
    platform: "node",
    target: "node18.19",
    format: "cjs",
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
    banner: { js: banner },
    footer: { js: "});" },
    define: { ...define, "import.meta.url": "__url" },
    logLevel: "warning",
  });
  chmodSync(neighbour, 0o755);
  renameSync(neighbour, target);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  process.stderr.write(`build: ${relative(root, target)}: ${statSync(target).size} bytes, in ${seconds} s\n`);
}
