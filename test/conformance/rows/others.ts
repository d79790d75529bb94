/** Plugins that only some suites have: firewall, tuning, sbr. */
import type { Conflist, JsonObject } from "../../lib/conflist.ts";
import { outsideAddress4 } from "../../lib/node/netns.ts";
import { ping } from "../../lib/node/traffic.ts";
import { onlyMain, withRanges } from "../chains.ts";
import { refused, resultOf } from "../judge.ts";
import { addressesOf } from "../results.ts";
import { about, type Section, want } from "../row.ts";
import type { Pod, Stage } from "../stage.ts";
import { ipamOf, type Part, type PluginConf } from "../subject.ts";

export const others: Section = {
  title: "firewall, tuning, sbr",
  rows: [
    {
      number: 155,
      title: "firewall lets a container's traffic and replies through a FORWARD policy of DROP",
      requires: ["firewall"],
      run(stage) {
        stage.sh("iptables -P FORWARD DROP");
        const pod = stage.newPod();
        stage.add(pod, onlyMain(stage.list));
        want(!ping(stage.node, pod.pod, outsideAddress4), "no way to the outside before", "one");
        const second = stage.newPod();
        stage.add(second, mainAnd(stage, { type: "firewall" }));
        want(ping(stage.node, second.pod, outsideAddress4), `an answer from ${outsideAddress4}`, "none");
      },
    },
    {
      number: 156,
      title: "firewall isolates bridges (same-bridge), and containers of one bridge (isolated)",
      requires: ["firewall", "bridge"],
      run(stage) {
        const wanted = [
          { ingressPolicy: "open", same: true, other: true },
          { ingressPolicy: "same-bridge", same: true, other: false },
          { ingressPolicy: "isolated", same: false, other: false },
        ];
        for (const [index, { ingressPolicy, same, other }] of wanted.entries()) {
          about(ingressPolicy, () => {
            const [a, b] = [0, 1].map((side) => bridged(stage, `br${index}${side}`, index * 2 + side, ingressPolicy));
            if (a === undefined || b === undefined) return;
            const [one, two] = [attach(stage, a), attach(stage, a)];
            const three = attach(stage, b);
            const reaches = (from: Pod, to: string) => ping(stage.node, from.pod, to);
            want(reaches(one.pod, two.address) === same, `reached on one bridge: ${same}`, !same);
            want(reaches(one.pod, three.address) === other, `reached on another bridge: ${other}`, !other);
          });
        }
      },
    },
    {
      number: 157,
      title: "twenty concurrent ADDs of firewall create each shared rule once",
      requires: ["firewall"],
      async run(stage) {
        const part = partOf(stage, { type: "firewall" });
        const pods = Array.from({ length: 20 }, () => stage.newPod());
        const results = pods.map((pod) => stage.add(pod, onlyMain(stage.list)));
        const answers = pods.map((pod, index) =>
          stage.askBeside(part, { pod, request: { prevResult: results[index] } }),
        );
        for (const answer of await Promise.all(answers)) resultOf(answer);
        const jumps = stage.node
          .sh("iptables-save -t filter")
          .split("\n")
          .filter((line) => /^-A FORWARD .*-j CNI-/.test(line));
        want(jumps.length > 0 && new Set(jumps).size === jumps.length, "each jump once", jumps);
      },
    },
    {
      number: 158,
      title: "tuning sets no sysctl outside net",
      requires: ["tuning"],
      run(stage) {
        const pod = stage.newPod();
        const prevResult = stage.add(pod, onlyMain(stage.list));
        for (const key of ["net/../kernel/domainname", "kernel.domainname", "net/ipv4/../../kernel/domainname"]) {
          const part = partOf(stage, { type: "tuning", sysctl: { [key]: "x" } });
          about(key, () => refused(stage.ask(part, { pod, request: { prevResult } })));
        }
      },
    },
    {
      number: 159,
      title:
        "tuning's MAC address is in the result, and DEL restores what was before, also after ADD that was repeated",
      requires: ["tuning"],
      run(stage) {
        const mac = "02:00:00:00:01:59";
        const part = partOf(stage, { type: "tuning", mac });
        for (const times of [1, 2]) {
          about(`${times} ADD`, () => {
            const pod = stage.newPod();
            const prevResult = stage.add(pod, onlyMain(stage.list));
            const shown = () => JSON.parse(stage.sh("ip -j link show eth0", { in: pod.pod }))[0].address as string;
            const before = shown();
            for (let turn = 0; turn < times; turn++) {
              const { interfaces = [] } = resultOf(stage.ask(part, { pod, request: { prevResult } }));
              want(
                interfaces.some((one) => one.mac === mac),
                `${mac} in the result`,
                interfaces,
              );
            }
            want(shown() === mac, `${mac} of eth0`, shown());
            stage.ask(part, { command: "DEL", pod, request: { prevResult } });
            want(shown() === before, `${before} of eth0 after DEL`, shown());
          });
        }
      },
    },
    {
      number: 160,
      title: "sbr: replies to packets of a second network leave through that network",
      requires: ["sbr"],
      run(stage) {
        const first = withRanges(stage.subject, "10.46.0.0/24");
        const second = { ...withRanges(stage.subject, "10.47.0.0/24"), name: "second" };
        const pod = stage.newPod();
        stage.add(pod, onlyMain(first));
        const main = { ...stage.main(second).conf, ipam: withoutRoutes(ipamOf(stage.main(second).conf)) };
        const net1 = { ...pod, ifname: "net1" };
        const result = stage.add(net1, { ...second, plugins: [main, { type: "sbr" }] });
        const [address] = addressesOf(result);
        const route = stage.sh(`ip route get ${outsideAddress4} from ${address}`, { in: pod.pod });
        want(route.includes("dev net1"), "a route by net1", route);
      },
    },
  ],
};

function partOf(stage: Stage, conf: PluginConf): Part {
  return { ...stage.main(), type: conf.type, conf, chained: true };
}

function mainAnd({ list }: Stage, conf: PluginConf): Conflist {
  return { ...list, plugins: [...list.plugins.slice(0, 1), conf] };
}

function bridged(stage: Stage, bridge: string, index: number, ingressPolicy: string): Conflist {
  const { conf } = stage.main(withRanges(stage.subject, `10.${48 + index}.0.0/24`));
  const main = { type: "bridge", bridge, isDefaultGateway: true, ipam: withoutRoutes(ipamOf(conf)) };
  return { ...stage.list, name: bridge, plugins: [main, { type: "firewall", ingressPolicy }] };
}

function attach(stage: Stage, list: Conflist): { readonly pod: Pod; readonly address: string } {
  const pod = stage.newPod();
  return { pod, address: addressesOf(stage.add(pod, list))[0] ?? "" };
}

function withoutRoutes({ routes: _, ...ipam }: JsonObject): JsonObject {
  return ipam;
}
