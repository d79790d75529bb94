/** What ADD creates, and which arguments of the runtime it honours. */
import type { JsonObject } from "../../lib/conflist.ts";
import { ping } from "../../lib/node/traffic.ts";
import type { CniResult } from "../../lib/runtimes/runner.ts";
import { bothFamilies, onlyMain } from "../chains.ts";
import { accepted, orderly, refused, resultOf, silent } from "../judge.ts";
import { addressesOf } from "../results.ts";
import { about, DoesNotApply, type Section, want } from "../row.ts";
import type { Answer, Stage } from "../stage.ts";
import type { Part } from "../subject.ts";
import { has, ipamOf } from "../subject.ts";

export const interfaceRows: Section = {
  title: "ADD: the interface",
  rows: [
    {
      number: 76,
      title: "the interface is up, with the addresses and routes of the result",
      run(stage) {
        const pod = stage.newPod();
        const result = resultOf(stage.ask(stage.main(), { pod }));
        const link = stage.sh("ip -br link show eth0", { in: pod.pod });
        want(/\bUP\b/.test(link), "eth0 that is up", link);
        const addresses = stage.sh("ip -br address show dev eth0", { in: pod.pod });
        for (const address of addressesOf(result)) want(addresses.includes(`${address}/`), address, addresses);
        const routes = stage.sh("ip route", { in: pod.pod });
        for (const { dst } of routesOf(result)) {
          want(routes.includes(dst === "0.0.0.0/0" ? "default" : dst), `a route to ${dst}`, routes);
        }
        want(ping(stage.node, undefined, addressesOf(result)[0] ?? ""), "an answer to the node's ping", "none");
      },
    },
    {
      number: 77,
      title: "mtu applies to both ends",
      run(stage) {
        const pod = stage.newPod();
        const { interfaces = [] } = resultOf(stage.ask(stage.main(), { pod, request: { mtu: 1400 } }));
        for (const { name, sandbox } of interfaces) {
          const link = stage.sh(`ip link show ${name}`, sandbox ? { in: pod.pod } : {});
          want(link.includes("mtu 1400"), `mtu 1400 of "${name}"`, link);
        }
      },
    },
    {
      number: 78,
      title:
        "a MAC address that is asked for by runtimeConfig, args or CNI_ARGS is the interface's; a bad one is refused",
      note: "ptp does not support it: of the reference plugins, bridge is tested",
      run(stage) {
        const part = macTaker(stage);
        const mac = "02:00:00:00:be:ef";
        const requests: readonly (readonly [string, JsonObject, string])[] = [
          ["runtimeConfig.mac", { runtimeConfig: { mac } }, ""],
          ["args.cni.mac", { args: { cni: { mac } } }, ""],
          ["CNI_ARGS", {}, `MAC=${mac};IgnoreUnknown=1`],
        ];
        for (const [what, request, args] of requests) {
          about(what, () => {
            const pod = stage.newPod();
            const { interfaces = [] } = resultOf(stage.ask(part, { pod, request, env: { CNI_ARGS: args } }));
            const found = interfaces.find(({ name, sandbox }) => name === "eth0" && sandbox)?.mac;
            want(found === mac, `${mac} in the result`, found ?? "none");
            const link = stage.sh("ip link show eth0", { in: pod.pod });
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
        const addresses = stage.sh("ip -6 address show dev eth0 scope global", { in: pod.pod });
        want(addresses.includes("inet6") && !/tentative|dadfailed/.test(addresses), "a settled address", addresses);
      },
    },
    {
      number: 80,
      title: "IPv4 works on a kernel without IPv6",
      run(stage) {
        // Plugins on a kernel without IPv6 see no /proc/sys/net/ipv6.
        const under = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc/sys/net/ipv6; exec "$0"'];
        const [part, pod] = [stage.main(), stage.newPod()];
        const result = resultOf(stage.ask(part, { pod, under }));
        want(ping(stage.node, undefined, addressesOf(result)[0] ?? ""), "an answer to the node's ping", "none");
        silent(stage.ask(part, { command: "DEL", pod, under }));
      },
    },
    {
      number: 81,
      title: "ADD turns forwarding on",
      run(stage) {
        stage.sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
        resultOf(stage.ask(stage.main(), { pod: stage.newPod() }));
        const forward = stage.sh("cat /proc/sys/net/ipv4/ip_forward").trim();
        want(forward === "1", "net.ipv4.ip_forward = 1", forward);
      },
    },
    args(82, "an unknown key of CNI_ARGS is ignored, or is an error that names it", ["FOO=1"], (answer) => {
      if (!orderly(answer)) refused(answer, { says: ["FOO"] });
    }),
    args(
      83,
      "IgnoreUnknown makes unknown keys of CNI_ARGS acceptable, in any order",
      ["FOO=1;IgnoreUnknown=1", "IgnoreUnknown=1;FOO=1", "IgnoreUnknown=true;FOO=1"],
      (answer) => void accepted(answer),
    ),
    args(84, "malformed CNI_ARGS crash no plugin", ["FOO", "A=B=C", ";;", "=", "A="], (answer) => {
      orderly(answer);
    }),
    args(85, "Kubernetes' arguments are accepted in any order", kubernetesArgs(), (answer) => void accepted(answer)),
  ],
};

function args(number: number, title: string, texts: readonly string[], judge: (answer: Answer) => void) {
  return {
    number,
    title,
    run: (stage: Stage) =>
      stage.everyPart((part) => {
        for (const text of texts) {
          about(text, () => {
            const pod = { ...stage.newPod(), ifname: part.ifname };
            const answer = stage.ask(part, { pod, env: { CNI_ARGS: text } });
            judge(answer);
            if (part.role === "main" && answer.status === 0) stage.wantAttached(pod);
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

/** The main plugin, or for the reference its bridge instead of ptp. */
function macTaker(stage: Stage): Part {
  const main = stage.main();
  if (main.type !== "ptp") return main;
  if (!has(stage.subject, "bridge")) throw new DoesNotApply("ptp takes no MAC address");
  return { ...main, type: "bridge", conf: { type: "bridge", bridge: "cni0", ipam: ipamOf(main.conf) } };
}

function routesOf(result: CniResult): readonly { readonly dst: string }[] {
  return (result.routes ?? []) as readonly { readonly dst: string }[];
}
