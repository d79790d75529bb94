/** How a main plugin handles its IPAM plugin, including a misbehaving one. */
import type { JsonObject } from "../../lib/conflist.ts";
import { sortKeys } from "../../lib/runtimes/runner.ts";
import { ipamAnswer, withIpam } from "../chains.ts";
import { callsOf, type Double, place } from "../doubles.ts";
import { accepted, refused } from "../judge.ts";
import { about, type Section, want } from "../row.ts";
import type { Answer, Pod, Stage } from "../stage.ts";
import type { Part } from "../subject.ts";

export const delegation: Section = {
  title: "ADD: the IPAM plugin",
  rows: [
    {
      number: 70,
      title: "a missing IPAM plugin is an error that names it, and no interface is left",
      run(stage) {
        const clean = stage.settle();
        const pod = stage.newPod();
        refused(addWith(stage, { type: "nowhere" }, pod), { says: ["nowhere"] });
        wantNoInterface(stage, pod);
        stage.wantNothingLeft(clean, [pod]);
      },
    },
    {
      number: 71,
      title: "an IPAM plugin's error is passed on with its code and message, and the plugin gets a DEL",
      run(stage) {
        const error = { cniVersion: stage.list.cniVersion, code: 123, msg: "no leaf unturned", details: "none" };
        const { pod, answer } = failingIpam(stage, { type: "empty", answer: JSON.stringify(error), status: 1 });
        refused(answer, { code: 123, says: ["no leaf unturned"] });
        wantNoInterface(stage, pod);
        wantTakenBack(stage, "empty");
      },
    },
    {
      number: 72,
      title: "an IPAM plugin's result without addresses is an error, and the plugin gets a DEL",
      run(stage) {
        const { cniVersion } = stage.list;
        const { pod, answer } = failingIpam(stage, { type: "addressless", answer: JSON.stringify({ cniVersion }) });
        refused(answer);
        wantNoInterface(stage, pod);
        wantTakenBack(stage, "addressless");
      },
    },
    {
      number: 73,
      title: "an IPAM plugin that prints garbage or crashes causes an ordinary error",
      run(stage) {
        const doubles: readonly Double[] = [
          { type: "mumbler", answer: "mumble {" },
          { type: "faller", answer: "mumble {", status: 3 },
          { type: "mute", answer: "", status: 1 },
          { type: "victim", dies: true },
        ];
        for (const double of doubles) {
          about(`IPAM plugin "${double.type}"`, () => {
            const { pod, answer } = failingIpam(stage, double);
            refused(answer);
            wantNoInterface(stage, pod);
          });
        }
      },
    },
    {
      number: 74,
      title: "an IPAM plugin gets the same stdin and environment",
      run(stage) {
        place(stage.node, { type: "mirror", answer: JSON.stringify(ipamAnswer(stage.list)) });
        const part = withIpamType(stage, "mirror");
        const pod = stage.newPod({ args: [["K8S_POD_NAME", "web-0"]] });
        const request = { runtimeConfig: { ips: [] }, args: { cni: { labels: [{ key: "a", value: "b" }] } }, zzz: 1 };
        accepted(stage.ask(part, { pod, request }));
        const [call] = callsOf(stage.node, "mirror");
        const sent = { ...stage.requestFor(part), ...request };
        const same = JSON.stringify(sortKeys(JSON.parse(call?.stdin ?? "{}"))) === JSON.stringify(sortKeys(sent));
        want(same, JSON.stringify(sent), call?.stdin);
        const wanted = {
          CNI_COMMAND: "ADD",
          CNI_CONTAINERID: pod.containerId,
          CNI_NETNS: pod.netns,
          CNI_IFNAME: "eth0",
          CNI_ARGS: "K8S_POD_NAME=web-0",
        };
        for (const [name, value] of Object.entries(wanted)) {
          want(call?.env[name] === value, `${name}=${value}`, call?.env[name] ?? "unset");
        }
        want(call?.env.CNI_PATH?.startsWith(stage.subject.dir) === true, "CNI_PATH", call?.env);
      },
    },
    {
      number: 75,
      title: "an IPAM plugin's stderr is passed on",
      run(stage) {
        place(stage.node, { type: "talker", answer: JSON.stringify(ipamAnswer(stage.list)), stderr: "talking\n" });
        const { stderr } = accepted(stage.ask(withIpamType(stage, "talker"), { pod: stage.newPod() }));
        want(stderr.includes("talking"), '"talking" on stderr', stderr);
      },
    },
  ],
};

/** The main plugin with a double instead of its IPAM plugin. */
function withIpamType(stage: Stage, type: string): Part {
  return stage.main(withIpam(stage.list, { type }));
}

function addWith(stage: Stage, ipam: JsonObject, pod: Pod): Answer {
  return stage.ask(stage.main(withIpam(stage.list, ipam)), { pod });
}

function failingIpam(stage: Stage, double: Double): { readonly pod: Pod; readonly answer: Answer } {
  place(stage.node, double);
  const pod = stage.newPod();
  return { pod, answer: addWith(stage, { type: double.type }, pod) };
}

function wantNoInterface(stage: Stage, { pod, ifname }: Pod): void {
  const links = stage.sh("ip -br link", { in: pod });
  want(!links.includes(`${ifname}@`), `no ${ifname} in the sandbox`, links);
}

function wantTakenBack(stage: Stage, type: string): void {
  const commands = callsOf(stage.node, type).map(({ env }) => env.CNI_COMMAND);
  want(commands.join() === "ADD,DEL", "the IPAM plugin called with ADD, then with DEL", commands);
}
