/**
 * What this executable was built from, for `-v` and bug reports.
 *
 * The build replaces the constants (`define` of esbuild); they do not exist if the program runs from its sources.
 */

declare const TORTIE_VERSION: string | undefined;
declare const TORTIE_COMMIT: string | undefined;
declare const TORTIE_ENGINE: string | undefined;

/** The version of package.json. */
export const version: string = typeof TORTIE_VERSION === "string" ? TORTIE_VERSION : "0.0.0-source";
/** The git commit, with `-dirty` if files were changed; `unknown` outside of a repository. */
export const commit: string = typeof TORTIE_COMMIT === "string" ? TORTIE_COMMIT : "unknown";
/** The engine and its version: `quickjs 2025-04-26`. */
export const engine: string = typeof TORTIE_ENGINE === "string" ? TORTIE_ENGINE : "node";
