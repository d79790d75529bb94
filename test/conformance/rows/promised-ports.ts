/** Promises about host ports beyond the checklist. */
import { nodeAddress4, nodeAddress6 } from "../../lib/node/netns.ts";
import { answers, serve } from "../../lib/node/traffic.ts";
import { attached, bothFamilies, onlyMain, tcp } from "../chains.ts";
import { refused, resultOf, silent } from "../judge.ts";
import { about, DoesNotApply, type Section, want } from "../row.ts";
import type { Stage } from "../stage.ts";
import { withBackend } from "../subject.ts";

export const promisedPorts: Section = {
  title: "Promises: host ports",
  rows: [
    {
      number: 176,
      title: "a repeated ADD with other host ports, or with none, ends with exactly those",
      requires: ["portmap"],
      everyBackend: true,
      run(stage) {
        const list = onlyMain(bothFamilies(stage.subject));
        const clean = settleWith(stage, list);
        const pod = stage.newPod();
        const prevResult = stage.add(pod, list);
        serve(stage.node, pod.pod, 80);
        const sets: readonly (readonly (readonly [number, string])[])[] = [
          [[8080, ""]],
          [
            [8081, ""],
            [8082, ""],
          ],
          [[8082, nodeAddress4]],
          [[8082, nodeAddress6]],
          [],
          [[8083, ""]],
          [],
        ];
        for (const wanted of sets) {
          about(`host ports ${wanted.map((one) => one.join(" of ")).join(", ") || "none"}`, () => {
            const portMappings = wanted.map(([hostPort, hostIP]) => ({ ...tcp(hostPort), hostIP }));
            const request = { prevResult, ...(wanted.length > 0 && { runtimeConfig: { portMappings } }) };
            resultOf(stage.ask(stage.part("portmap"), { pod, request }));
            for (const port of [8080, 8081, 8082, 8083]) {
              for (const host of [nodeAddress4, nodeAddress6]) {
                const asked = wanted.some(([hostPort, hostIP]) => hostPort === port && (!hostIP || hostIP === host));
                const ask = () => answers(stage.node, "outside", host, port);
                // A busy machine may be slower than the client's time limit.
                const open = ask() || (asked && ask());
                want(open === asked, `${host}:${port} ${asked ? "open" : "closed"}`, open ? "open" : "closed");
              }
            }
          });
        }
        stage.del(pod, list);
        stage.wantNothingLeft(clean, [pod]);
      },
    },
    {
      number: 177,
      title: "DEL leaves nothing after portmap's back end was changed in the configuration",
      requires: ["portmap"],
      run(stage) {
        const backends = stage.subject.portmapBackends;
        if (backends.length < 2) throw new DoesNotApply("its portmap has one back end");
        for (const [then, now] of [backends, [...backends].reverse()]) {
          about(`${then}, then ${now}`, () => {
            const [before, after] = [then, now].map((one) => withBackend(stage.subject, one).list) as [
              Stage["list"],
              Stage["list"],
            ];
            const clean = settleBoth(stage, before, after);
            const pod = stage.newPod({ capabilities: attached(8080) });
            stage.add(pod, before);
            stage.each("DEL", pod, {}, after).forEach(silent);
            stage.wantNothingLeft(clean, [pod]);
            const stale = stage.newPod({ capabilities: attached(8080) });
            stage.add(stale, before);
            const keys = { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] };
            stage.each("GC", undefined, keys, after).forEach(silent);
            stage.node.removePod(stale.pod);
            stage.wantNothingLeft(clean, [stale]);
          });
        }
      },
    },
    {
      number: 178,
      title: "a host port of another container is an error that names it, and stays with that container until its DEL",
      requires: ["portmap"],
      everyBackend: true,
      run(stage) {
        const first = stage.serve(8080);
        const second = stage.newPod({ capabilities: attached(8080) });
        const prevResult = stage.add(second, onlyMain(stage.list));
        const question = { pod: second, request: { prevResult, runtimeConfig: attached(8080) } };
        refused(stage.ask(stage.part("portmap"), question), { says: ["8080", first.containerId] });
        stage.wantServed(first);
        stage.del(first);
        resultOf(stage.ask(stage.part("portmap"), question));
        serve(stage.node, second.pod, 80);
        want(answers(stage.node, "outside", "203.0.113.1", 8080), "an answer on host port 8080", "none");
      },
    },
  ],
};

/** Creates the shared objects of the whole chain with a main plugin that another list configures. */
function settleWith(stage: Stage, { plugins }: Stage["list"]) {
  return stage.settle({ ...stage.list, plugins: [...plugins, ...stage.list.plugins.slice(1)] });
}

function settleBoth(stage: Stage, one: Stage["list"], other: Stage["list"]) {
  stage.settle(one);
  return stage.settle(other);
}
