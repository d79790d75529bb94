/** What ADD makes, and what it leaves when it fails. */
import type { JsonObject } from "../../lib/conflist.ts";
import type { CniResult } from "../../lib/runner.ts";
import { ping, serve } from "../../lib/traffic.ts";
import { attached, bothFamilies, ipamAnswer, onlyMain, withIpam } from "../chains.ts";
import { callsOf, type Double, place } from "../doubles.ts";
import { accepted, orderly, refused, resultOf, silent } from "../judge.ts";
import { about, DoesNotApply, type Section, want } from "../row.ts";
import { type Answer, addressesOf, type Pod, type Stage } from "../stage.ts";
import type { Part } from "../subject.ts";
import { has, ipamOf } from "../subject.ts";

export const add: Section = {
  title: "ADD",
  rows: [
    failsCleanly(63, "a network namespace that is not there", { netns: "/run/netns/none" }),
    failsCleanly(64, "a path that is no network namespace", { netns: "/etc/hostname" }),
    failsCleanly(65, "the plugin's own network namespace", { netns: "/proc/self/ns/net" }),
    {
      number: 66,
      title: "CNI_NETNS_OVERRIDE allows the plugin's own network namespace",
      run(stage) {
        // A namespace without routes stands for the host: an interface beside a default route is another matter.
        const host = stage.newPod();
        const part = stage.main();
        const question = {
          pod: { ...host, netns: "/proc/self/ns/net" },
          env: { CNI_NETNS_OVERRIDE: "1" },
          under: ["nsenter", `--net=${host.netns}`],
        };
        resultOf(stage.ask(part, question));
        const links = stage.node.sh("ip -br link", { in: host.pod });
        want(links.includes("eth0@"), "eth0 beside its peer", links);
        silent(stage.ask(part, { ...question, command: "DEL" }));
        const left = stage.node.sh("ip -br link", { in: host.pod });
        want(!left.includes("@"), "no link after DEL", left);
      },
    },
    {
      number: 67,
      title: "an interface of that name that is there is an error, stays as it is, and no address is lost",
      run(stage) {
        const clean = stage.settle();
        const pod = stage.newPod();
        stage.node.sh("ip link add eth0 type veth peer name other; ip address add 192.0.2.77/32 dev eth0", {
          in: pod.pod,
        });
        const shown = () => stage.node.sh("ip -d -br address show eth0; ip -br link show eth0", { in: pod.pod });
        const before = shown();
        refused(stage.ask(stage.main(), { pod }), { says: ["eth0"] });
        want(shown() === before, `eth0 as it was: ${before}`, shown());
        stage.wantNothingLeft(clean, [pod]);
      },
    },
    {
      number: 68,
      title: "ADD that is repeated is refused or answers the same, and one DEL takes all away",
      run(stage) {
        const clean = stage.settle();
        const pod = stage.newPod({ capabilities: attached(8080) });
        const first = stage.add(pod);
        for (const [index, answer] of stage.each("ADD", pod, { prevResult: first }).entries()) {
          if (!orderly(answer) || index > 0) continue;
          const [a, b] = [addressesOf(first), addressesOf(resultOf(answer))];
          want(a.join() === b.join(), `the addresses ${a}`, b);
        }
        stage.del(pod);
        stage.wantNothingLeft(clean, [pod]);
      },
    },
    {
      number: 69,
      title: "two interfaces of one container on one network work, and DEL of either leaves the other whole",
      run(stage) {
        const clean = stage.settle();
        const first = stage.newPod({ capabilities: attached(8080) });
        const second = { ...first, ifname: "net1", capabilities: attached(8081) };
        stage.add(first);
        stage.add(second);
        serve(stage.node, first.pod, 80);
        stage.wantServed(first);
        stage.wantServed(second);
        stage.del(second);
        stage.wantServed(first);
        stage.add(second);
        stage.del(first);
        stage.wantServed(second);
        stage.del(second);
        stage.wantNothingLeft(clean, [first]);
      },
    },
    {
      number: 70,
      title: "an IPAM plugin that is not there is an error that names it, and no interface is left",
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
      title: "an IPAM plugin's error goes up with its code and message, and the plugin is told to DEL",
      run(stage) {
        const error = { cniVersion: stage.list.cniVersion, code: 123, msg: "no leaf unturned", details: "none" };
        const { pod, answer } = failingIpam(stage, { type: "empty", answer: JSON.stringify(error), status: 1 });
        refused(answer, { code: 123, says: ["no leaf unturned"] });
        wantNoInterface(stage, pod);
        const commands = callsOf(stage.node, "empty").map(({ env }) => env.CNI_COMMAND);
        want(commands.join() === "ADD,DEL", "the IPAM plugin called with ADD, then with DEL", commands);
      },
    },
    {
      number: 72,
      title: "an IPAM plugin without an answer's addresses is an error, and it is told to DEL",
      run(stage) {
        const { cniVersion } = stage.list;
        const { pod, answer } = failingIpam(stage, { type: "addressless", answer: JSON.stringify({ cniVersion }) });
        refused(answer);
        wantNoInterface(stage, pod);
        const commands = callsOf(stage.node, "addressless").map(({ env }) => env.CNI_COMMAND);
        want(commands.join() === "ADD,DEL", "the IPAM plugin called with ADD, then with DEL", commands);
      },
    },
    {
      number: 73,
      title: "an IPAM plugin that prints garbage, or dies, is an error and nothing worse",
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
      title: "an IPAM plugin gets the same stdin and the same variables",
      run(stage) {
        place(stage.node, { type: "mirror", answer: JSON.stringify(ipamAnswer(stage.list)) });
        const part = withIpamType(stage, "mirror");
        const pod = stage.newPod({ args: [["K8S_POD_NAME", "web-0"]] });
        const request = { runtimeConfig: { ips: [] }, args: { cni: { labels: [{ key: "a", value: "b" }] } }, zzz: 1 };
        accepted(stage.ask(part, { pod, request }));
        const [call] = callsOf(stage.node, "mirror");
        const sent = { ...stage.requestFor(part), ...request };
        const same = JSON.stringify(sorted(JSON.parse(call?.stdin ?? "{}"))) === JSON.stringify(sorted(sent));
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
      title: "what an IPAM plugin writes on stderr goes to stderr",
      run(stage) {
        place(stage.node, { type: "talker", answer: JSON.stringify(ipamAnswer(stage.list)), stderr: "talking\n" });
        const { stderr } = accepted(stage.ask(withIpamType(stage, "talker"), { pod: stage.newPod() }));
        want(stderr.includes("talking"), '"talking" on stderr', stderr);
      },
    },
    {
      number: 76,
      title: "the interface is up, with the addresses and the routes that the result names",
      run(stage) {
        const pod = stage.newPod();
        const result = resultOf(stage.ask(stage.main(), { pod }));
        const link = stage.node.sh("ip -br link show eth0", { in: pod.pod });
        want(/\bUP\b/.test(link), "eth0 that is up", link);
        const addresses = stage.node.sh("ip -br address show dev eth0", { in: pod.pod });
        for (const address of addressesOf(result)) want(addresses.includes(`${address}/`), address, addresses);
        const routes = stage.node.sh("ip route", { in: pod.pod });
        for (const { dst } of routesOf(result)) {
          want(routes.includes(dst === "0.0.0.0/0" ? "default" : dst), `a route to ${dst}`, routes);
        }
        want(ping(stage.node, undefined, addressesOf(result)[0] ?? ""), "an answer to the node's ping", "none");
      },
    },
    {
      number: 77,
      title: "mtu is that of both ends",
      run(stage) {
        const pod = stage.newPod();
        const { interfaces = [] } = resultOf(stage.ask(stage.main(), { pod, request: { mtu: 1400 } }));
        for (const { name, sandbox } of interfaces) {
          const link = stage.node.sh(`ip link show ${name}`, sandbox ? { in: pod.pod } : {});
          want(link.includes("mtu 1400"), `mtu 1400 of "${name}"`, link);
        }
      },
    },
    {
      number: 78,
      title:
        "a MAC address that is asked for by runtimeConfig, args or CNI_ARGS is the interface's; a bad one is refused",
      note: "ptp takes none: of the reference, bridge is asked",
      run(stage) {
        const part = macTaker(stage);
        const mac = "02:00:00:00:be:ef";
        const wishes: readonly (readonly [string, JsonObject, string])[] = [
          ["runtimeConfig.mac", { runtimeConfig: { mac } }, ""],
          ["args.cni.mac", { args: { cni: { mac } } }, ""],
          ["CNI_ARGS", {}, `MAC=${mac};IgnoreUnknown=1`],
        ];
        for (const [what, request, args] of wishes) {
          about(what, () => {
            const pod = stage.newPod();
            const { interfaces = [] } = resultOf(stage.ask(part, { pod, request, env: { CNI_ARGS: args } }));
            const found = interfaces.find(({ name, sandbox }) => name === "eth0" && sandbox)?.mac;
            want(found === mac, `${mac} in the result`, found ?? "none");
            const link = stage.node.sh("ip link show eth0", { in: pod.pod });
            want(link.includes(mac), `${mac} of eth0`, link);
            stage.ask(part, { command: "DEL", pod });
          });
        }
        refused(stage.ask(part, { pod: stage.newPod(), request: { runtimeConfig: { mac: "zz" } } }));
      },
    },
    {
      number: 79,
      title: "an IPv6 address is usable when ADD returns",
      run(stage) {
        const pod = stage.newPod();
        stage.add(pod, onlyMain(bothFamilies(stage.subject)));
        const addresses = stage.node.sh("ip -6 address show dev eth0 scope global", { in: pod.pod });
        want(addresses.includes("inet6") && !/tentative|dadfailed/.test(addresses), "a settled address", addresses);
      },
    },
    {
      number: 80,
      title: "IPv4 works with a kernel that has no IPv6",
      run(stage) {
        // What such a kernel's plugins see of it: no /proc/sys/net/ipv6.
        const under = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc/sys/net/ipv6; exec "$0"'];
        const [part, pod] = [stage.main(), stage.newPod()];
        const result = resultOf(stage.ask(part, { pod, under }));
        want(ping(stage.node, undefined, addressesOf(result)[0] ?? ""), "an answer to the node's ping", "none");
        silent(stage.ask(part, { command: "DEL", pod, under }));
      },
    },
    {
      number: 81,
      title: "the node forwards afterwards",
      run(stage) {
        stage.node.sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
        resultOf(stage.ask(stage.main(), { pod: stage.newPod() }));
        const forward = stage.node.sh("cat /proc/sys/net/ipv4/ip_forward").trim();
        want(forward === "1", "net.ipv4.ip_forward = 1", forward);
      },
    },
    args(82, "an unknown key of CNI_ARGS is ignored or refused by name", ["FOO=1"], (answer) => {
      if (!orderly(answer)) refused(answer, { says: ["FOO"] });
    }),
    args(
      83,
      "IgnoreUnknown lets unknown keys of CNI_ARGS pass, wherever it stands",
      ["FOO=1;IgnoreUnknown=1", "IgnoreUnknown=1;FOO=1", "IgnoreUnknown=true;FOO=1"],
      (answer) => void accepted(answer),
    ),
    args(84, "CNI_ARGS that make no sense crash nobody", ["FOO", "A=B=C", ";;", "=", "A="], (answer) => {
      orderly(answer);
    }),
    args(85, "Kubernetes' arguments are taken in any order", kubernetesArgs(), (answer) => void accepted(answer)),
  ],
};

/** ADD in a namespace that it must refuse: nothing of it stays, and no address is taken. */
function failsCleanly(number: number, what: string, { netns }: { readonly netns: string }) {
  return {
    number,
    title: `${what} is an error, and nothing is done or left`,
    run(stage: Stage) {
      const clean = stage.settle();
      const pod = { ...stage.newPod(), netns };
      refused(stage.ask(stage.main(), { pod }));
      stage.wantNothingLeft(clean, [pod]);
    },
  };
}

function args(number: number, title: string, texts: readonly string[], judge: (answer: Answer) => void) {
  return {
    number,
    title,
    run: (stage: Stage) =>
      stage.everyPart((part) => {
        for (const text of texts) {
          about(text, () => {
            const pod = { ...stage.newPod(), ifname: part.ifname };
            judge(stage.ask(part, { pod, env: { CNI_ARGS: text } }));
            judge(stage.ask(part, { command: "DEL", pod, env: { CNI_ARGS: text } }));
          });
        }
      }),
  };
}

function kubernetesArgs(): readonly string[] {
  const pairs = [
    "IgnoreUnknown=1",
    "K8S_POD_NAMESPACE=default",
    "K8S_POD_NAME=web-0",
    "K8S_POD_INFRA_CONTAINER_ID=4f0c",
    "K8S_POD_UID=2c0a6f0e-3c7e-4f8e-9a51-5b6f0d1f7a11",
  ];
  return pairs.map((_, index) => [...pairs.slice(index), ...pairs.slice(0, index)].join(";"));
}

/** The main plugin with a double in the place of its IPAM plugin. */
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
  const links = stage.node.sh("ip -br link", { in: pod });
  want(!links.includes(`${ifname}@`), `no ${ifname} in the sandbox`, links);
}

/** The main plugin, or the reference's bridge beside its ptp. */
function macTaker(stage: Stage): Part {
  const main = stage.main();
  if (main.type !== "ptp") return main;
  if (!has(stage.subject, "bridge")) throw new DoesNotApply("ptp takes no MAC address");
  return { ...main, type: "bridge", conf: { type: "bridge", bridge: "cni0", ipam: ipamOf(main.conf) } };
}

function routesOf(result: CniResult): readonly { readonly dst: string }[] {
  return (result.routes ?? []) as readonly { readonly dst: string }[];
}

function sorted(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
