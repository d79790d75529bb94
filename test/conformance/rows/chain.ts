/** Whole chains, many in parallel, and chains of two suites. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadConflist } from "../../lib/conflist.ts";
import { serve } from "../../lib/node/traffic.ts";
import { Runner, requestOf } from "../../lib/runtimes/runner.ts";
import { goPluginDir, ourPluginDir } from "../../lib/suite.ts";
import { attached, mainOf, withPlugin } from "../chains.ts";
import { dialectOf } from "../dialect.ts";
import { accepted, resultOf, silent } from "../judge.ts";
import { addressesOf } from "../results.ts";
import { about, DoesNotApply, type Section, want } from "../row.ts";
import type { Answer, Pod, Stage } from "../stage.ts";
import { conflistFor, ipamOf, type PluginConf } from "../subject.ts";

const many = 100;
const rounds = 5;

export const chain: Section = {
  title: "Whole chain",
  rows: [
    {
      number: 161,
      title: "ADD, CHECK and DEL of the whole list, as by cnitool, leave the node as before",
      note: "called by the suite's own runtime, which does what libcni does",
      everyBackend: true,
      run(stage) {
        const clean = stage.settle();
        const pod = stage.newPod({ containerId: "cnitool-4f0c1a2b3c4d5e6f7a8b", capabilities: attached(8080) });
        stage.add(pod);
        stage.check(pod);
        stage.del(pod);
        stage.wantNothingLeft(clean, [pod]);
      },
    },
    {
      number: 162,
      title: "if the last plugin rejects its configuration, DEL with the same configuration removes the rest",
      requires: ["portmap"],
      run(stage) {
        const clean = stage.settle();
        const list = withPlugin(stage.list, "portmap", { snat: "yes" });
        const pod = stage.newPod({ capabilities: attached(8080) });
        let failed = false;
        try {
          stage.add(pod, list);
        } catch {
          failed = true;
        }
        want(failed, "a refusal of ADD", "success");
        stage.each("DEL", pod, {}, list).forEach(silent);
        stage.wantNothingLeft(clean, [pod]);
      },
    },
    {
      number: 163,
      title: `${many} containers at once, ${rounds} times: each is attached with a different address, and nothing is left`,
      async run(stage) {
        const pods = Array.from({ length: many }, (_, index) =>
          stage.newPod({ capabilities: attached(10_000 + index) }),
        );
        const clean = stage.settle();
        for (let round = 0; round < rounds; round++) {
          const addresses = await Promise.all(pods.map((pod) => addBeside(stage, pod)));
          want(new Set(addresses).size === many, `${many} addresses`, new Set(addresses).size);
          await Promise.all(pods.map((pod) => delBeside(stage, pod)));
        }
        stage.wantNobodyLeft(clean, pods);
      },
    },
    {
      number: 164,
      title: "plugins of two suites work in one chain",
      run(stage) {
        const other = stage.subject.dir === goPluginDir ? ourPluginDir : goPluginDir;
        const foreign = existsSync(other) ? loadConflist(conflistFor(other)) : undefined;
        if (foreign === undefined) throw new DoesNotApply(`there is no other suite in ${other}`);
        const [own, theirs] = [stage.list.plugins.slice(1), foreign.plugins.slice(1)];
        const [main, theirMain] = [mainOf(stage.list), mainOf(foreign)];
        const mixed = [
          {
            what: "their IPAM plugin under this main plugin",
            plugins: [{ ...main, ipam: gatewayed(theirMain) }, ...own],
          },
          {
            what: "this IPAM plugin under their main plugin",
            plugins: [{ ...theirMain, ipam: gatewayed(main) }, ...own],
          },
          { what: "their chained plugins after this main plugin", plugins: [main, ...theirs], first: other },
          { what: "these chained plugins after their main plugin", plugins: [theirMain, ...own] },
        ].filter(({ first }) => first === undefined || !existsSync(join(other, String(main.type))));
        for (const { what, plugins, first = stage.subject.dir } of mixed) {
          about(what, () => {
            const runner = new Runner({ node: stage.node, pluginDirs: [first, stage.subject.dir, other] });
            // The version that both support.
            const list = { ...stage.list, plugins, cniVersion: "1.0.0" };
            const attach = (port: number) => {
              const pod = stage.newPod({ capabilities: attached(port) });
              runner.add(list, pod);
              return pod;
            };
            runner.del(list, attach(8079));
            const clean = stage.look();
            const pod = attach(8080);
            serve(stage.node, pod.pod, 80);
            stage.wantServed(pod, list);
            runner.del(list, pod);
            stage.wantNothingLeft(clean, [pod]);
          });
        }
      },
    },
    {
      number: 165,
      title: "the time of one exec, measured with a thousand VERSIONs",
      note: "a measurement without a limit",
      run(stage) {
        const [part] = stage.parts;
        const script = 'for i in $(seq 1000); do "$0" >/dev/null </dev/null || exit 1; done';
        const started = performance.now();
        accepted(stage.ask(part ?? stage.main(), { command: "VERSION", under: ["sh", "-c", script] }));
        stage.figure = `${((performance.now() - started) / 1000).toFixed(2)} ms`;
      },
    },
  ],
};

/** With an IPAM configuration whose answers have a gateway, which some main plugins require. */
function gatewayed(main: PluginConf): PluginConf {
  const ipam = ipamOf(main);
  return { ...ipam, ...dialectOf(ipam.type)?.gatewayed };
}

/** The ADDs of the chain, in parallel with those of other containers. Returns the first address. */
async function addBeside(stage: Stage, pod: Pod): Promise<string> {
  let last: Answer | undefined;
  for (const plugin of stage.list.plugins) {
    const prevResult = last && resultOf(last);
    last = await askBeside(stage, "ADD", pod, requestOf(stage.list, plugin, { sandbox: pod, prevResult }), plugin.type);
  }
  return (last && addressesOf(resultOf(last))[0]) ?? "";
}

async function delBeside(stage: Stage, pod: Pod): Promise<void> {
  for (const plugin of [...stage.list.plugins].reverse()) {
    silent(await askBeside(stage, "DEL", pod, requestOf(stage.list, plugin, { sandbox: pod }), plugin.type));
  }
}

function askBeside(stage: Stage, command: string, pod: Pod, request: object, type: string): Promise<Answer> {
  return stage.askBeside({ ...stage.main(), type }, { command, pod, stdin: JSON.stringify(request) });
}
