/**
 * The plugins with a switch that kills or fails them at a step: separate executables in build/crash, never in dist/bin.
 *
 *     TORTIE_FAULT=12:after      parsed by `fault.ts`
 *     TORTIE_FAULT=trace         no fault; prints the steps to stderr at the end, as JSON
 */
import { join } from "node:path";
import { descriptors } from "#plugins/descriptors";
import { buildExecutable } from "../../../scripts/build/executable.ts";
import { root } from "../suite.ts";

export const crashPluginDir = join(root, "build/crash/bin");
export const switchName = "TORTIE_FAULT";

/** Only a plugin whose traces outlive its process can leave a step half done. */
const names = descriptors.filter(({ traces }) => traces.outlive).map(({ name }) => name);

export async function buildCrashPlugins(): Promise<void> {
  await buildExecutable({
    programs: Object.fromEntries(names.map((name) => [name, entryOf(name)])),
    workDirectory: join(root, "build/crash"),
    targetDirectory: crashPluginDir,
    define: {
      TORTIE_VERSION: '"crash"',
      TORTIE_COMMIT: '"unknown"',
      TORTIE_ENGINE: '"quickjs"',
    },
  });
}

/**
 * Calling `_exit` at once is equivalent to being killed: plugins roll back in TypeScript, nothing is buffered, and in both cases the kernel
 * releases locks and descriptors, and kills a delegate with its caller.
 */
function entryOf(name: string): string {
  return `
    import plugin from "./plugins/${name}/main.ts";
    import { quickjsSys } from "./src/host/quickjs.ts";
    import { runPlugin } from "./src/plugin/run.ts";
    import { parseFault } from "./test/lib/faults/fault.ts";
    import { faultySys } from "./test/lib/faults/faulty-sys.ts";
    export function main() {
      const setting = quickjsSys.environment().${switchName} ?? "";
      const steps = [];
      const exit = (status) => {
        if (setting === "trace") quickjsSys.write("stderr", JSON.stringify(steps));
        return quickjsSys.exit(status);
      };
      const faults = setting === "" || setting === "trace" ? [] : [parseFault(setting)];
      const die = () => quickjsSys.exit(137);
      runPlugin(plugin, { ...faultySys(quickjsSys, { faults, die, onStep: (step) => steps.push(step) }), exit });
    }
  `;
}
