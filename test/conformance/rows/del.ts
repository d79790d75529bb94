/** What DEL removes, and how little it needs for that. */
import type { JsonObject } from "../../lib/conflist.ts";
import { serve } from "../../lib/node/traffic.ts";
import { requestOf } from "../../lib/runtimes/runner.ts";
import { attached, withRanges } from "../chains.ts";
import { orderly, silent } from "../judge.ts";
import { addressesOf } from "../results.ts";
import { about, type Section, want } from "../row.ts";
import type { Pod, Stage } from "../stage.ts";
import { ipamOf } from "../subject.ts";

export const del: Section = {
  title: "DEL",
  rows: [
    {
      number: 86,
      title: "DEL removes everything, prints nothing, and leaves the sandbox empty",
      run: (stage) =>
        leaves(stage, (pod) => {
          for (const answer of stage.each("DEL", pod, { prevResult: stage.runner.cached(stage.list, pod) })) {
            silent(answer);
          }
          const links = stage.sh("ip -br link", { in: pod.pod });
          want(!links.includes("@"), "no interface in the sandbox", links);
        }),
    },
    {
      number: 87,
      title: "DEL may be repeated",
      run: (stage) =>
        leaves(stage, (pod) => {
          const prevResult = stage.runner.cached(stage.list, pod);
          for (let turn = 0; turn < 3; turn++) {
            for (const answer of stage.each("DEL", pod, { prevResult })) silent(answer);
          }
        }),
    },
    {
      number: 88,
      title: "DEL without an ADD succeeds",
      run(stage) {
        const clean = stage.settle();
        const pod = stage.newPod({ capabilities: attached(8080) });
        for (const answer of stage.each("DEL", pod)) silent(answer);
        stage.everyPart((part) => silent(stage.ask(part, { command: "DEL", pod: { ...pod, ifname: part.ifname } })));
        stage.wantNothingLeft(clean, [pod]);
      },
    },
    {
      number: 89,
      title: "DEL with an empty CNI_NETNS leaves nothing, after the sandbox is gone",
      run: (stage) => leaves(stage, (pod) => delWithNetns(stage, pod, "")),
    },
    {
      number: 90,
      title: "DEL with a CNI_NETNS that is gone leaves nothing, and creates no file there",
      run: (stage) =>
        leaves(stage, (pod) => {
          delWithNetns(stage, pod, pod.netns);
          want(stage.node.run(["test", "-e", pod.netns]).status === 1, "no file at CNI_NETNS", pod.netns);
        }),
    },
    {
      number: 91,
      title: "DEL with a CNI_NETNS that is a regular file (a stale mount point) leaves nothing",
      run: (stage) => leaves(stage, (pod) => delWithNetns(stage, pod, pod.netns, () => stage.sh(`touch ${pod.netns}`))),
    },
    {
      number: 92,
      title: "DEL without prevResult leaves nothing",
      run: (stage) => leaves(stage, (pod) => delOf(stage, pod)),
    },
    {
      number: 93,
      title: "DEL with the prevResult of another container leaves that container alone",
      run(stage) {
        const clean = stage.settle();
        const [first, second] = twoServed(stage);
        const others = stage.runner.cached(stage.list, second);
        for (const answer of stage.each("DEL", first, { prevResult: others })) silent(answer);
        stage.wantServed(second);
        stage.del(second);
        stage.wantNothingLeft(clean, [first, second]);
      },
    },
    {
      number: 94,
      title: "DEL after the interface was deleted manually leaves nothing",
      run: (stage) =>
        leaves(stage, (pod) => {
          stage.sh("ip link del eth0", { in: pod.pod });
          delOf(stage, pod, { prevResult: stage.runner.cached(stage.list, pod) });
        }),
    },
    {
      number: 95,
      title: "DEL after the bridge or the parent interface was deleted succeeds",
      requires: ["bridge", "macvlan"],
      run(stage) {
        const { node } = stage;
        node.sh("ip link add parent0 type veth peer name parent1; ip link set parent0 up; ip link set parent1 up");
        const ipam = ipamOf(stage.main().conf);
        const mains = [
          { type: "bridge", bridge: "parentbr0", ipam },
          { type: "macvlan", master: "parent0", ipam },
        ];
        for (const conf of mains) {
          about(conf.type, () => {
            const list = { ...stage.list, plugins: [conf] };
            const pod = stage.newPod();
            stage.add(pod, list);
            node.sh(`ip link del ${"bridge" in conf ? conf.bridge : conf.master}`);
            for (const answer of stage.each("DEL", pod, {}, list)) silent(answer);
          });
        }
      },
    },
    {
      number: 96,
      title: "DEL removes host ports that the runtime no longer sends",
      requires: ["portmap"],
      everyBackend: true,
      run: (stage) =>
        leaves(stage, (pod) => {
          const { capabilities: _, ...bare } = pod;
          delOf(stage, bare, { prevResult: stage.runner.cached(stage.list, pod) });
        }),
    },
    {
      number: 97,
      title: "DEL without its external tools ends cleanly, and DEL with them leaves nothing",
      everyBackend: true,
      run: (stage) =>
        leaves(stage, (pod) => {
          for (const plugin of [...stage.list.plugins].reverse()) {
            const part = stage.parts.find(({ type }) => type === plugin.type);
            if (part === undefined) continue;
            const env = { PATH: "/nonexistent" };
            const stdin = JSON.stringify(requestOf(stage.list, plugin, { sandbox: pod }));
            orderly(stage.ask(part, { command: "DEL", pod, env, stdin }));
          }
          delOf(stage, pod, {});
        }),
    },
    {
      number: 98,
      title: "DEL after ADD was killed, at a hundred random moments, leaves nothing",
      run(stage) {
        const clean = stage.settle();
        const took = new Map(
          stage.runner.calls.filter(({ command }) => command === "ADD").map((c) => [c.plugin, c.wallMs]),
        );
        const pods = Array.from({ length: 100 }, () => {
          const pod = stage.newPod({ capabilities: attached(8080) });
          addUntilKilled(stage, pod, took);
          for (const answer of stage.each("DEL", pod)) silent(answer);
          const links = stage.sh("ip -br link", { in: pod.pod });
          want(!links.includes("@"), "no interface in the sandbox", links);
          stage.node.removePod(pod.pod);
          return pod;
        });
        stage.wantNothingLeft(clean, pods);
      },
    },
    {
      number: 99,
      title: "DEL of one container does not affect the traffic of another",
      run(stage) {
        const [first, second] = twoServed(stage);
        stage.wantServed(first);
        stage.del(first);
        stage.wantServed(second);
      },
    },
    {
      number: 100,
      title: "a late DEL leaves alone another container that has the address by then",
      run(stage) {
        const list = withRanges(stage.subject, { one: "10.33.0.9" });
        const [old, young] = [8080, 8081].map((port) => stage.newPod({ capabilities: attached(port) })) as [Pod, Pod];
        const [address] = addressesOf(stage.add(old, list));
        stage.kill(old);
        silent(stage.ask({ ...stage.part("ipam"), conf: stage.main(list).conf }, { command: "DEL", pod: old }));
        const [same] = addressesOf(stage.add(young, list));
        want(same === address, `the address ${address} again`, same);
        serve(stage.node, young.pod, 80);
        stage.wantServed(young, list);
        delOf(stage, old, { prevResult: stage.runner.cached(list, old) }, list);
        stage.wantServed(young, list);
      },
    },
    {
      number: 101,
      title: "an administrator's own rules keep their text and order",
      everyBackend: true,
      run(stage) {
        stage.sh(adminsRules);
        const rules = () => stage.sh("nft -s list table inet admin; iptables-save; ip6tables-save");
        const own = () =>
          rules()
            .split("\n")
            .filter((line) => /admin|192\.0\.2\.200/.test(line))
            .join("\n");
        const before = own();
        const pod = stage.serve(8080);
        stage.wantServed(pod);
        want(own() === before, `after ADD: ${before}`, own());
        stage.del(pod);
        want(own() === before, `after DEL: ${before}`, own());
      },
    },
  ],
};

const adminsRules = `
nft -f - <<'X'
table inet admin {
  chain input { type filter hook input priority 5; policy accept; ip saddr 192.0.2.200 tcp dport 22 counter accept comment "admin"; }
  chain nat { type nat hook prerouting priority -90; policy accept; ip daddr 192.0.2.200 tcp dport 99 dnat ip to 192.0.2.201 comment "admin"; }
}
X
iptables -t nat -A PREROUTING -d 192.0.2.200/32 -p tcp -m tcp --dport 98 -m comment --comment admin1 -j DNAT --to-destination 192.0.2.201
iptables -t nat -A POSTROUTING -s 192.0.2.200/32 -m comment --comment admin2 -j MASQUERADE
iptables -A FORWARD -d 192.0.2.200/32 -m comment --comment admin3 -j ACCEPT
ip6tables -A FORWARD -d 2001:db8:200::/48 -m comment --comment admin4 -j ACCEPT
`;

/** Attaches a container with a host port and limits, removes it with `takeAway`, and requires that nothing is left. */
function leaves(stage: Stage, takeAway: (pod: Pod) => void): void {
  const clean = stage.settle();
  const pod = stage.serve(8080);
  stage.wantServed(pod);
  takeAway(pod);
  stage.wantNothingLeft(clean, [pod]);
}

/** DEL of the chain with `change` as the only keys that the runtime remembers. */
function delOf(stage: Stage, pod: Omit<Pod, "capabilities">, change: JsonObject = {}, list = stage.list): void {
  for (const answer of stage.each("DEL", pod, change, list)) silent(answer);
}

/** The sandbox ends before DEL. */
function delWithNetns(stage: Stage, pod: Pod, netns: string, meanwhile: () => void = () => {}): void {
  stage.kill(pod);
  meanwhile();
  delOf(stage, { ...pod, netns }, { prevResult: stage.runner.cached(stage.list, pod) });
}

function twoServed(stage: Stage): readonly [Pod, Pod] {
  return [stage.serve(8080), stage.serve(8081)];
}

/** The ADDs of the chain, each killed within about its usual time, until one was killed. */
function addUntilKilled(stage: Stage, pod: Pod, took: ReadonlyMap<string, number>): void {
  let prevResult: JsonObject | undefined;
  for (const plugin of stage.list.plugins) {
    const part = stage.parts.find(({ type }) => type === plugin.type);
    if (part === undefined) return;
    const seconds = (Math.random() * 1.5 * (took.get(plugin.type) ?? 10)) / 1000;
    const request = requestOf(stage.list, plugin, { sandbox: pod, ...(prevResult && { prevResult }) });
    const under = ["timeout", "--signal=KILL", seconds.toFixed(4)];
    const answer = stage.ask(part, { pod, stdin: JSON.stringify(request), under });
    if (answer.status !== 0) return;
    prevResult = JSON.parse(answer.stdout);
  }
}
