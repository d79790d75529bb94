/** What a failed ADD leaves behind, and the effect of a repeated one. */
import { serve } from "../../lib/node/traffic.ts";
import { attached } from "../chains.ts";
import { orderly, refused, resultOf, silent } from "../judge.ts";
import { addressesOf } from "../results.ts";
import { type Section, want } from "../row.ts";
import type { Stage } from "../stage.ts";

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
        // A namespace without routes stands for the host: the row is not about an interface next to a default route.
        const host = stage.newPod();
        const part = stage.main();
        const question = {
          pod: { ...host, netns: "/proc/self/ns/net" },
          env: { CNI_NETNS_OVERRIDE: "1" },
          under: ["nsenter", `--net=${host.netns}`],
        };
        resultOf(stage.ask(part, question));
        const links = stage.sh("ip -br link", { in: host.pod });
        want(links.includes("eth0@"), "eth0 beside its peer", links);
        silent(stage.ask(part, { ...question, command: "DEL" }));
        const left = stage.sh("ip -br link", { in: host.pod });
        want(!left.includes("@"), "no link after DEL", left);
      },
    },
    {
      number: 67,
      title: "an existing interface of that name is an error and stays as it is, and no address leaks",
      run(stage) {
        const clean = stage.settle();
        const pod = stage.newPod();
        stage.sh("ip link add eth0 type veth peer name other; ip address add 192.0.2.77/32 dev eth0", {
          in: pod.pod,
        });
        const shown = () => stage.sh("ip -d -br address show eth0; ip -br link show eth0", { in: pod.pod });
        const before = shown();
        refused(stage.ask(stage.main(), { pod }), { says: ["eth0"] });
        want(shown() === before, `eth0 as it was: ${before}`, shown());
        stage.wantNothingLeft(clean, [pod]);
      },
    },
    {
      number: 68,
      title: "a repeated ADD is rejected or returns the same result, and one DEL removes everything",
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
      title: "two interfaces of one container on one network work, and DEL of either leaves the other working",
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
  ],
};

/** ADD in a namespace that it must reject: nothing is left, and no address is allocated. */
function failsCleanly(number: number, what: string, { netns }: { readonly netns: string }) {
  return {
    number,
    title: `${what} is an error, and nothing changes`,
    run(stage: Stage) {
      const clean = stage.settle();
      const pod = { ...stage.newPod(), netns };
      refused(stage.ask(stage.main(), { pod }));
      stage.wantNothingLeft(clean, [pod]);
    },
  };
}
