/** STATUS: whether an ADD could work. GC: removes what belongs to no valid attachment. Both exist since 1.1.0. */
import { type Sandbox, sortKeys } from "../../lib/runtimes/runner.ts";
import { ipamAnswer, onlyMain, withIpam, withRanges } from "../chains.ts";
import { callsOf, place } from "../doubles.ts";
import { refused, silent } from "../judge.ts";
import { about, type Section, want } from "../row.ts";
import type { Answer, Stage } from "../stage.ts";

const cniVersion = "1.1.0";
const validKey = "cni.dev/valid-attachments";

export const statusGc: Section = {
  title: "STATUS, GC",
  rows: [
    {
      number: 110,
      title: "STATUS needs only CNI_COMMAND and CNI_PATH, and prints nothing on success",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const value of ["", undefined]) {
            const answer = stage.ask(part, { command: "STATUS", env: bare(value), request: { cniVersion } });
            if (answer.status === 0) silent(answer);
            else refused(answer, { code: [50, 51] });
          }
        }),
    },
    {
      number: 111,
      title: "STATUS fails with code 50 if the IPAM plugin is missing",
      run(stage) {
        const main = stage.main(withIpam(stage.list, { type: "nowhere" }));
        refused(stage.ask(main, { command: "STATUS", request: { cniVersion } }), { code: 50, says: ["nowhere"] });
      },
    },
    {
      number: 112,
      title: "STATUS fails with code 50 or 51 if no address is available",
      run(stage) {
        const list = withRanges(stage.subject, { one: "10.33.0.9" });
        const main = stage.main(list);
        silent(stage.ask(main, { command: "STATUS", request: { cniVersion } }));
        const pod = stage.newPod();
        stage.add(pod, onlyMain(list));
        refused(stage.ask(main, { command: "STATUS", request: { cniVersion } }), { code: [50, 51] });
        stage.del(pod, onlyMain(list));
        silent(stage.ask(main, { command: "STATUS", request: { cniVersion } }));
      },
    },
    {
      number: 113,
      title: "STATUS, called a hundred times as by a kubelet, changes nothing",
      run(stage) {
        const ask = () => stage.each("STATUS", undefined, { cniVersion }).forEach(silent);
        stage.settle();
        ask();
        const before = stage.look();
        for (let turn = 0; turn < 99; turn++) ask();
        stage.wantUnchanged(before);
      },
    },
    {
      number: 114,
      title: "GC needs only CNI_COMMAND and CNI_PATH, and prints nothing",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const value of ["", undefined]) {
            const request = { cniVersion, [validKey]: [] };
            silent(stage.ask(part, { command: "GC", env: bare(value), request }));
          }
        }),
    },
    {
      number: 115,
      title: "GC removes attachments that are not valid, and leaves valid ones alone",
      everyBackend: true,
      run(stage) {
        stage.settle();
        const valid = stage.serve(8080);
        const before = stage.look();
        const stale = stage.serve(8081);
        stage.kill(stale);
        collect(stage, [valid]).forEach(silent);
        stage.wantNothingLeft(before, [stale]);
        stage.wantServed(valid);
      },
    },
    {
      number: 116,
      title: "GC with an empty list removes all attachments of the network",
      everyBackend: true,
      run(stage) {
        const clean = stage.settle();
        const pods = [8080, 8081].map((port) => stage.serve(port));
        for (const pod of pods) stage.kill(pod);
        collect(stage, []).forEach(silent);
        stage.wantNothingLeft(clean, pods);
      },
    },
    {
      number: 117,
      title: "GC without a list, or with null, removes nothing",
      run(stage) {
        const pod = stage.serve(8080);
        const before = stage.look();
        for (const keys of [{}, { [validKey]: null }]) {
          for (const answer of stage.each("GC", undefined, { cniVersion, ...keys })) {
            about(JSON.stringify(keys), () => (answer.status === 0 ? silent(answer) : refused(answer)));
          }
        }
        stage.wantUnchanged(before);
        stage.wantServed(pod);
      },
    },
    {
      number: 118,
      title: "GC of one network leaves attachments of other networks alone",
      run(stage) {
        const other = { ...stage.list, name: "another" };
        const pod = stage.serve(8080, other);
        const before = stage.look();
        collect(stage, []).forEach(silent);
        stage.wantUnchanged(before);
        stage.wantServed(pod, other);
      },
    },
    {
      number: 119,
      title: "GC distinguishes the interfaces of a container",
      run(stage) {
        const clean = stage.settle();
        const pod = stage.serve(8080);
        stage.kill(pod);
        collect(stage, [{ ...pod, ifname: "eth1" }]).forEach(silent);
        stage.wantNothingLeft(clean, [pod]);
      },
    },
    {
      number: 120,
      title: "GC calls the IPAM plugin with the same stdin",
      run(stage) {
        place(stage.node, { type: "gatherer", answer: JSON.stringify(ipamAnswer(stage.list)) });
        const main = stage.main(withIpam(stage.list, { type: "gatherer" }));
        const request = { cniVersion, [validKey]: [{ containerID: "c1", ifname: "eth0" }] };
        silent(stage.ask(main, { command: "GC", request }));
        const [call] = callsOf(stage.node, "gatherer");
        want(call?.env.CNI_COMMAND === "GC", "GC of the IPAM plugin", call?.env.CNI_COMMAND ?? "no call");
        const sent = { ...stage.requestFor(main), ...request };
        want(
          JSON.stringify(sortKeys(JSON.parse(call?.stdin ?? "{}"))) === JSON.stringify(sortKeys(sent)),
          JSON.stringify(sent),
          call?.stdin,
        );
      },
    },
    {
      number: 121,
      title: "a GC that fails in part completes the rest, and reports the failure",
      run(stage) {
        const error = { cniVersion, code: 104, msg: "cannot collect: jammed" };
        const answer = JSON.stringify(ipamAnswer(stage.list));
        place(stage.node, { type: "jammed", answer, refuses: { command: "GC", error } });
        const list = onlyMain(withIpam(stage.list, { type: "jammed" }));
        const pod = stage.newPod();
        const { interfaces = [] } = stage.add(pod, list);
        const [refusal] = collect(stage, [], list) as [Answer];
        refused(refusal, { says: ["jammed"] });
        const links = stage.sh("ip -br link");
        const left = interfaces.filter(({ name, sandbox }) => !sandbox && links.includes(name));
        want(left.length === 0, "the host's interface gone nevertheless", left);
      },
    },
  ],
};

/** The variables of an attachment, unset or, as libcni sets them, empty. */
function bare(value: string | undefined): Readonly<Record<string, string | undefined>> {
  const names = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"];
  return Object.fromEntries(names.map((name) => [name, value]));
}

/** GC of every plugin of the list, without the DELs that libcni sends first. */
function collect(
  stage: Stage,
  valid: readonly Pick<Sandbox, "containerId" | "ifname">[],
  list = stage.list,
): readonly Answer[] {
  const attachments = valid.map(({ containerId, ifname }) => ({ containerID: containerId, ifname }));
  return stage.each("GC", undefined, { cniVersion, [validKey]: attachments, "cni.dev/attachments": attachments }, list);
}
