/**
 * `npm run bench -- --gc`: GC of lost attachments, whose sandboxes still exist, by each plugin of the chain. Time and CPU time are from the plugins' own
 * traces (`TORTIE_TRACE`). The Go plugins of Debian have no GC.
 */
import { readFileSync } from "node:fs";
import { readTrace } from "../../src/cli/profile/trace.ts";
import { Node } from "../../test/lib/node/netns.ts";
import { gcRequestOf, Runner } from "../../test/lib/runtimes/runner.ts";
import type { Scenario } from "./scenarios.ts";

export interface GcLine {
  readonly lost: number;
  readonly plugin: string;
  readonly wallMs: number;
  readonly cpuMs: number;
}

const trace = "/run/trace";

export async function benchGc(
  directory: string,
  scenario: Scenario,
  counts: readonly number[],
): Promise<readonly GcLine[]> {
  const lines: GcLine[] = [];
  for (const lost of counts) {
    const node = await Node.start("bench");
    try {
      lines.push(...collect(node, directory, scenario, lost));
    } finally {
      await node.stop();
    }
  }
  return lines;
}

function collect(node: Node, directory: string, { ours, capabilities }: Scenario, lost: number): readonly GcLine[] {
  const runner = new Runner({ node, pluginDirs: [directory] });
  for (let n = 0; n < lost; n++) {
    const own = JSON.parse(JSON.stringify(capabilities).replace('"@hostPort@"', `${20_000 + n}`));
    runner.add(ours, { containerId: `lost-${n}`, netns: node.addPod(`lost-${n}`), ifname: "eth0", capabilities: own });
  }
  const traced = new Runner({ node, pluginDirs: [directory], wrap: ["env", `TORTIE_TRACE=${trace}`] });
  const newest = { ...ours, cniVersion: "1.1.0" };
  const nobody = { containerId: "", netns: "", ifname: "" };
  for (const plugin of ours.plugins) traced.exec("GC", plugin.type, gcRequestOf(newest, plugin, []), nobody);
  return readTrace(readFileSync(node.outerPath(trace), "utf8")).map(({ plugin, at, end, startCpu, startWait, cpu }) => {
    return { lost, plugin, wallMs: (end - at + startCpu + startWait) / 1e6, cpuMs: cpu / 1e6 };
  });
}

export function gcTable(lines: readonly GcLine[]): string {
  const rows = lines.map(({ lost, plugin, wallMs, cpuMs }) =>
    [`${lost}`.padStart(6), `  ${plugin.padEnd(12)}`, wallMs.toFixed(1).padStart(9), cpuMs.toFixed(1).padStart(9)].join(
      "",
    ),
  );
  return ["  lost  plugin             ms   CPU ms", ...rows].join("\n");
}
