/** Promises of this project beyond the checklist. */
import { isNewer, type JsonObject } from "../../lib/conflist.ts";
import { answers, ping, serve } from "../../lib/node/traffic.ts";
import type { CniResult, Sandbox } from "../../lib/runtimes/runner.ts";
import { containerd, crio, podman } from "../../lib/runtimes/runtimes.ts";
import { attached, onlyMain, withPlugin, withRanges } from "../chains.ts";
import { orderly, refused, resultOf, silent } from "../judge.ts";
import { addressesOf } from "../results.ts";
import { about, type Section, want } from "../row.ts";
import type { Pod, Stage } from "../stage.ts";

export const promises: Section = {
  title: "Promises",
  rows: [
    {
      number: 166,
      title: "links and firewall rules name their container",
      requires: ["portmap", "bandwidth"],
      everyBackend: true,
      run(stage) {
        const names = () =>
          new Set(stage.sh("ls /sys/class/net 2>/dev/null; ip -br link | sed 's/[@ ].*//'").split("\n"));
        const before = names();
        const pod = stage.serve(8080);
        const links = [...names()].filter((name) => !before.has(name));
        want(links.length > 0, "links of the container", links);
        for (const link of links) {
          const shown = stage.sh(`ip link show ${link}`);
          want(shown.includes(pod.containerId), `${pod.containerId} in the alias of ${link}`, shown);
        }
        const rules = stage.sh("nft list ruleset; iptables-save 2>/dev/null");
        want(rules.includes(pod.containerId), `${pod.containerId} in the firewall`, "none");
      },
    },
    {
      number: 167,
      title:
        "attachments with the same concatenation of network and container ID are kept apart: the second works or is rejected",
      requires: ["portmap", "bandwidth"],
      everyBackend: true,
      run(stage) {
        for (const role of ["portmap", "bandwidth"] as const) {
          about(role, () => {
            const chain = (name: string) => {
              const chained = stage.list.plugins.filter(({ type }) => type === stage.part(role).type);
              return { ...stage.list, name, plugins: [stage.main().conf, ...chained] };
            };
            const [first, second] = [chain("net-a"), chain("net-ab")];
            const one = stage.newPod({ containerId: "bcd01", capabilities: attached(8080) });
            stage.add(one, first);
            serve(stage.node, one.pod, 80);
            const two = stage.newPod({ containerId: "cd01", capabilities: attached(8081) });
            const prevResult = stage.add(two, onlyMain(second));
            const request = { name: second.name, prevResult, runtimeConfig: two.capabilities };
            const answer = stage.ask(stage.part(role), { pod: two, request });
            if (!orderly(answer)) refused(answer, { says: ["bcd01"] });
            if (role === "portmap") stage.wantServed(one, first);
            stage.each("DEL", two, {}, second).forEach(silent);
            if (role === "portmap") stage.wantServed(one, first);
            const limited = stage.sh("tc qdisc show | grep -c tbf || true").trim();
            if (role === "bandwidth") want(limited === "2", "the first one's two limits", limited);
            stage.del(one, first);
            stage.node.removePod(one.pod);
          });
        }
      },
    },
    {
      number: 168,
      title: "a repeated ADD returns the same result and changes nothing",
      everyBackend: true,
      run(stage) {
        const pod = stage.newPod({ capabilities: attached(8080) });
        const first = stage.add(pod);
        stage.wantAttached(pod);
        const before = stage.look();
        const second = stage.add(pod);
        want(JSON.stringify(second) === JSON.stringify(first), JSON.stringify(first), second);
        stage.wantSame(before);
        stage.check(pod);
      },
    },
    {
      number: 169,
      title: "a late DEL of a pod's old sandbox leaves the pod's new sandbox working",
      run(stage) {
        const args = [
          ["IgnoreUnknown", "1"],
          ["K8S_POD_NAMESPACE", "default"],
          ["K8S_POD_NAME", "web-0"],
        ] as const;
        const clean = stage.settle();
        const [old, young] = [8080, 8081].map((port) => {
          const pod = stage.newPod({ args, capabilities: attached(port) });
          stage.add(pod);
          serve(stage.node, pod.pod, 80);
          return pod;
        }) as [Pod, Pod];
        stage.wantServed(young);
        stage.del(old);
        stage.wantServed(young);
        stage.del(young);
        stage.wantNothingLeft(clean, [old, young]);
      },
    },
    {
      number: 170,
      title:
        "DEL works in every version, CHECK from 0.4.0 on, STATUS and GC from 1.1.0 on; earlier versions get code 1",
      run(stage) {
        const [first] = stage.parts;
        for (const cniVersion of first?.versions ?? []) {
          about(`version ${cniVersion}`, () => everyCommand(stage, cniVersion));
        }
      },
    },
    {
      number: 171,
      title: "DEL with a configuration that is no longer valid leaves nothing",
      requires: ["portmap", "bandwidth"],
      everyBackend: true,
      run(stage) {
        const clean = stage.settle();
        const pod = stage.serve(8080);
        const spoilt = { portmap: { markMasqBit: 99, snat: "yes" }, bandwidth: { ingressRate: -1 } };
        let list = withPlugin(stage.list, stage.main().type, { mtu: "wide" });
        for (const role of ["portmap", "bandwidth"] as const) {
          list = withPlugin(list, stage.part(role).type, spoilt[role]);
        }
        stage.each("DEL", pod, {}, list).forEach(silent);
        stage.wantNothingLeft(clean, [pod]);
      },
    },
    {
      number: 172,
      title: "a chained plugin passes on unknown keys of a result",
      run: (stage) =>
        stage.everyPart(
          (part) => {
            const pod = stage.newPod();
            const result = stage.add(pod, onlyMain(stage.list));
            const interfaces = result.interfaces?.map((one) => ({ ...one, "x.example/rack": 7 }));
            const prevResult = { ...result, interfaces, "x.example/zone": { a: 1 } };
            const answer = resultOf(stage.ask(part, { pod, request: { prevResult } })) as JsonObject;
            want(JSON.stringify(answer["x.example/zone"]) === '{"a":1}', "the unknown key of the result", answer);
            const racks = (answer.interfaces as readonly JsonObject[]).map((one) => one["x.example/rack"]);
            want(
              racks.every((rack) => rack === 7),
              "the unknown key of each interface",
              answer,
            );
          },
          ({ chained }) => chained,
        ),
    },
    {
      number: 173,
      title: "a late DEL with a CNI_NETNS that now leads to another container's sandbox leaves that sandbox working",
      run(stage) {
        const clean = stage.settle();
        const old = stage.serve(8080);
        stage.kill(old);
        const young = stage.newPod({ capabilities: attached(8081) });
        stage.sh(`touch ${old.netns}; mount --bind ${young.netns} ${old.netns}`);
        stage.add({ ...young, netns: old.netns });
        serve(stage.node, young.pod, 80);
        stage.each("DEL", old, { prevResult: stage.runner.cached(stage.list, old) }).forEach(silent);
        stage.wantServed({ ...young, netns: old.netns });
        stage.del({ ...young, netns: old.netns });
        stage.sh(`umount ${old.netns}; rm ${old.netns}`);
        stage.wantNothingLeft(clean, [old, young]);
      },
    },
    {
      number: 174,
      title: "requests of containerd, CRI-O, podman and nerdctl work, from ADD to the last DEL",
      run(stage) {
        const clean = stage.settle();
        for (const [runtime, sent] of Object.entries({ containerd, crio, podman })) {
          about(runtime, () => {
            const pod = stage.newPod();
            const ports = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];
            const requests = {
              namespace: "default",
              name: pod.pod,
              containerId: pod.containerId,
              ingressRate: 10e6,
              ports,
            };
            const asked = { ...pod, ...sent(requests) };
            stage.add(asked);
            want(ping(stage.node, undefined, addressOf(stage, asked)), "an answer to the node's ping", "none");
            // CRI-O does this after each ADD.
            if (runtime === "crio") stage.check(asked);
            stage.del(asked);
            stage.wantNothingLeft(clean, [asked]);
          });
        }
        about("nerdctl", () => nerdctl(stage));
      },
    },
    {
      number: 175,
      title: "IPv6-only networks work: ADD, CHECK, traffic and DEL",
      run(stage) {
        const list = withRanges(stage.subject, "fd00:44::/64");
        const clean = stage.settle(list);
        const pod = stage.newPod({ capabilities: attached(8080) });
        const [address = ""] = addressesOf(stage.add(pod, list));
        want(address.includes(":"), "an IPv6 address", address);
        serve(stage.node, pod.pod, 80);
        // If the host interface has an address, its duplicate address detection may take two seconds.
        stage.sh(`for i in 1 2 3 4 5; do ping -n -c 1 -W 1 ${address} >/dev/null && exit 0; done; exit 1`);
        want(answers(stage.node, "outside", "2001:db8:99::1", 8080), "an answer on host port 8080", "none");
        stage.check(pod, list);
        stage.del(pod, list);
        stage.wantNothingLeft(clean, [pod]);
      },
    },
  ],
};

function addressOf(stage: Stage, pod: Sandbox): string {
  return addressesOf(stage.runner.cached(stage.list, pod) ?? {})[0] ?? "";
}

/** Every command for one container. Chains exist since 0.3.0: for older versions, only the main plugin. */
function everyCommand(stage: Stage, cniVersion: string): void {
  const chains = !isNewer("0.3.0", cniVersion);
  const list = { ...(chains ? stage.list : onlyMain(stage.list)), cniVersion };
  const judged = (command: "CHECK" | "STATUS" | "GC", since: string, pod: Pod | undefined, change: JsonObject) => {
    for (const answer of stage.each(command, pod, change, list)) {
      if (isNewer(since, cniVersion)) refused(answer, { code: 1 });
      else silent(answer);
    }
  };
  const clean = stage.settle(list);
  const pod = stage.newPod({ capabilities: attached(8080) });
  const prevResult: CniResult = stage.add(pod, list);
  judged("CHECK", "0.4.0", pod, { prevResult });
  judged("STATUS", "1.1.0", undefined, {});
  const valid = [{ containerID: pod.containerId, ifname: pod.ifname }];
  judged("GC", "1.1.0", undefined, { "cni.dev/valid-attachments": valid });
  want(ping(stage.node, undefined, addressesOf(prevResult)[0] ?? ""), "an answer to the node's ping", "none");
  stage.each("DEL", pod, isNewer("0.4.0", cniVersion) ? {} : { prevResult }, list).forEach(silent);
  stage.wantNothingLeft(clean, [pod]);
}

/** DEL before ADD, a sandbox named by a process that lives in it, and the last DEL without it (pkg/ocihook). */
function nerdctl(stage: Stage): void {
  const clean = stage.settle();
  const pod = stage.newPod({ containerId: "default-4f0c1a2b3c4d", capabilities: attached(8080) });
  stage.node.start(["sleep", "1000"], { in: pod.pod });
  const pid = stage.sh("until pgrep -n -x sleep; do sleep 0.02; done").trim();
  const asked = { ...pod, netns: `/proc/${pid}/ns/net` };
  stage.each("DEL", { ...asked, netns: "" }).forEach(silent);
  stage.add(asked);
  serve(stage.node, pod.pod, 80);
  stage.wantServed(asked);
  stage.kill(pod);
  stage.each("DEL", { ...asked, netns: "" }).forEach(silent);
  stage.wantNothingLeft(clean, [pod]);
}
