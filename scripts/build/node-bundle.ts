/**
 * Bundles a program for Node, with everything it needs from npm, into one file: the operator's command, `dist/tortie.js`, and the node agent,
 * `dist/tortie-node.js`.
 *
 * Whether Node treats a file as an ES module or as CommonJS depends on its name, on a `package.json` in a parent directory, and on the
 * version of Node. People copy these files to `/usr/local/bin/tortie`, so they are valid as both: no import or export, no top-level `await`,
 * and `require` comes from `import()`, which both have.
 */
import { chmodSync, renameSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { build } from "esbuild";

export interface NodeBundle {
  /** The root of the repository. */
  readonly root: string;
  readonly program: keyof typeof entries;
  /** The name in `dist/<program>.js`. */
  readonly target?: string;
  /** Constants that replace identifiers in the program, as JSON. */
  readonly define: Readonly<Record<string, string>>;
}

const entries = { tortie: "src/cli/main.ts", "tortie-node": "src/agent/main.ts" } as const;

const banner = `#!/usr/bin/env node
"use strict";
import("node:module").then(({ createRequire }) => {
const require = createRequire("file:///tortie.js"), module = { exports: {} };
const __filename = process.argv[1], __dirname = require("node:path").dirname(__filename);
const __url = require("node:url").pathToFileURL(__filename).href;`;

export async function buildForNode({ root, program, define, target }: NodeBundle): Promise<void> {
  const start = performance.now();
  const file = target ?? join(root, `dist/${program}.js`);
  // Rename, so that a process that is reading the old file gets all of it.
  const temporary = join(dirname(file), `.${program}-${process.pid}.js`);
  await build({
    entryPoints: [join(root, entries[program])],
    outfile: temporary,
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
  chmodSync(temporary, 0o755);
  renameSync(temporary, file);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  process.stderr.write(`build: ${relative(root, file)}: ${statSync(file).size} bytes, in ${seconds} s\n`);
}
