/** The plugin as a process: streams, descriptors, children, signals. */
import type { Node } from "../../lib/node/netns.ts";
import { attached, ipamAnswer, onlyMain, withIpam } from "../chains.ts";
import { callsOf, place } from "../doubles.ts";
import { accepted, refused, resultOf, silent } from "../judge.ts";
import { about, type Section, want } from "../row.ts";

export const process: Section = {
  title: "Protocol: the process",
  rows: [
    {
      number: 32,
      title: "a closed or full stderr does not change the result",
      run(stage) {
        for (const redirection of ["2>&-", "2>/dev/full"]) {
          about(redirection, () => {
            const under = ["sh", "-c", `exec "$0" ${redirection}`];
            const part = stage.main();
            const pod = stage.newPod();
            resultOf(stage.ask(part, { pod, under }));
            refused(stage.ask(part, { pod, under, stdin: "{" }), { code: 6 });
            silent(stage.ask(part, { command: "DEL", pod, under }));
          });
        }
      },
    },
    {
      number: 33,
      title: "a result that cannot be written is an error, and at the latest DEL removes what ADD created",
      run(stage) {
        const list = onlyMain(stage.list);
        const clean = stage.settle(list);
        for (const redirection of [">&-", ">/dev/full"]) {
          about(redirection, () => {
            const part = stage.main();
            const pod = stage.newPod();
            const answer = stage.ask(part, { pod, under: ["sh", "-c", `exec "$0" ${redirection}`] });
            want(answer.status !== 0, "a failure", `status ${answer.status}`);
            silent(stage.ask(part, { command: "DEL", pod }));
            stage.wantNothingLeft(clean, [pod]);
          });
        }
      },
    },
    {
      number: 34,
      title: "no program inherits file descriptors of the runtime, and none stays open",
      run(stage) {
        place(stage.node, { type: "witness", answer: JSON.stringify(ipamAnswer(stage.list)) });
        const list = withIpam(stage.list, { type: "witness" });
        const main = stage.main(list);
        // The reader ends once all copies of the pipe's write end are closed; the shell itself has none.
        const script = `d=$(mktemp -d) && mkfifo $d/p && { timeout 20 cat $d/p & "$0" 9>$d/p; done=$?; wait $! && exit $done; }`;
        const answer = stage.ask(main, { pod: stage.newPod(), under: ["bash", "--norc", "-c", script] });
        want(answer.status !== 124, "a pipe that ends with the plugin", "a process that holds it open");
        accepted(answer);
        const calls = callsOf(stage.node, "witness");
        want(calls.length > 0, "a call of the delegate", "none");
        const descriptors = calls.flatMap((call) => call.descriptors);
        want(!descriptors.includes(9), "a delegate without descriptor 9 of the runtime's", descriptors);
      },
    },
    {
      number: 35,
      title: "no process is left running",
      run(stage) {
        const before = processes(stage.node);
        const pod = stage.newPod({ capabilities: attached(8080) });
        stage.add(pod);
        stage.wantAttached(pod);
        wantProcesses(stage.node, before);
        stage.del(pod);
        wantProcesses(stage.node, before);
      },
    },
    {
      number: 36,
      title: "after SIGTERM during ADD, DEL leaves nothing",
      run(stage) {
        const list = onlyMain(stage.list);
        const clean = stage.settle(list);
        const part = stage.main();
        const pods = Array.from({ length: 12 }, (_, step) => {
          const pod = stage.newPod();
          stage.ask(part, { pod, under: ["timeout", "--signal=TERM", `${0.0005 + step * 0.001}`] });
          silent(stage.ask(part, { command: "DEL", pod }));
          return pod;
        });
        stage.wantNothingLeft(clean, pods);
      },
    },
  ],
};

/** Names of all processes of the node except the one that lists them. */
function processes(node: Node): string {
  return node.sh("for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || cat $p/comm 2>/dev/null || true; done").trim();
}

/** A dead orphan exists until the node's first process reaps it. */
function wantProcesses(node: Node, wanted: string): void {
  let now = processes(node);
  for (let turn = 0; turn < 50 && now !== wanted; turn++) {
    node.sh("sleep 0.02");
    now = processes(node);
  }
  want(now === wanted, `the processes ${wanted}`, now);
}
