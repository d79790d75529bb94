/** Damage that CHECK detects. */
import type { CniResult } from "../../lib/runtimes/runner.ts";
import { attached, onlyMain } from "../chains.ts";
import { refused, silent } from "../judge.ts";
import { addressesOf } from "../results.ts";
import { about, type Section, want } from "../row.ts";
import type { Pod, Stage } from "../stage.ts";

export const check: Section = {
  title: "CHECK",
  rows: [
    {
      number: 102,
      title: "CHECK right after ADD succeeds for the whole chain, and prints nothing",
      everyBackend: true,
      run(stage) {
        const pod = stage.newPod({ capabilities: attached(8080) });
        const prevResult = stage.add(pod);
        stage.wantAttached(pod);
        for (const answer of stage.each("CHECK", pod, { prevResult })) silent(answer);
      },
    },
    {
      number: 103,
      title: "CHECK without prevResult is an error",
      note: "IPAM plugins and loopback may not need it",
      run: (stage) =>
        stage.everyPart(
          (part) => void refused(stage.ask(part, { command: "CHECK", request: { prevResult: undefined } })),
          ({ role }) => role !== "ipam" && role !== "loopback",
        ),
    },
    {
      number: 104,
      title: "CHECK names the interface, address, MAC address or route that differs from prevResult",
      run(stage) {
        for (const { what, harm, says } of harms) {
          about(what, () => {
            const pod = stage.newPod();
            const result = stage.add(pod, onlyMain(stage.list));
            const [address = ""] = addressesOf(result);
            stage.sh(harm(address), { in: pod.pod });
            const answer = stage.ask(stage.main(), { command: "CHECK", pod, request: { prevResult: result } });
            refused(answer, { says: [says(address)] });
            // Remove the damaged attachment, whatever the plugins answer.
            stage.ask(stage.main(), { command: "DEL", pod });
          });
        }
      },
    },
    {
      number: 105,
      title: "CHECK reports missing firewall rules and qdiscs",
      requires: ["portmap", "bandwidth"],
      everyBackend: true,
      run(stage) {
        const { pod, prevResult } = attach(stage);
        const request = { prevResult, runtimeConfig: pod.capabilities };
        const [veth, ifb] = shapedLinks(prevResult);
        const check = (role: "portmap" | "bandwidth") =>
          stage.ask(stage.part(role), { command: "CHECK", pod, request });
        stage.sh("nft flush ruleset");
        refused(check("portmap"));
        silent(check("bandwidth"));
        for (const link of [veth, ifb]) {
          about(`the queue of ${link}`, () => {
            const queue = stage.sh(`tc qdisc show dev ${link} root`);
            stage.sh(`tc qdisc del dev ${link} root`);
            refused(check("bandwidth"));
            stage.sh(
              `tc qdisc add dev ${link} root ${queue.replace(/^qdisc tbf (\S+) root refcnt \d+/, "handle $1 tbf")}`,
            );
            silent(check("bandwidth"));
          });
        }
      },
    },
    {
      number: 106,
      title: "CHECK reports an address that is no longer allocated",
      run(stage) {
        const pod = stage.newPod();
        const prevResult = stage.add(pod, onlyMain(stage.list));
        silent(stage.ask(stage.part("ipam"), { command: "DEL", pod }));
        refused(stage.ask(stage.part("ipam"), { command: "CHECK", pod, request: { prevResult } }));
        refused(stage.ask(stage.main(), { command: "CHECK", pod, request: { prevResult } }));
      },
    },
    {
      number: 107,
      title: "CHECK accepts a later plugin's change that the result contains",
      run(stage) {
        const pod = stage.newPod();
        const result = stage.add(pod, onlyMain(stage.list));
        const mac = "02:00:00:00:10:07";
        stage.sh(`ip link set eth0 address ${mac}`, { in: pod.pod });
        const interfaces = result.interfaces?.map((one) => (one.sandbox ? { ...one, mac } : one));
        silent(stage.ask(stage.main(), { command: "CHECK", pod, request: { prevResult: { ...result, interfaces } } }));
      },
    },
    {
      number: 108,
      title: "CHECK reports a sandbox that differs from that of prevResult",
      run(stage) {
        const pod = stage.newPod();
        const result = stage.add(pod, onlyMain(stage.list));
        const interfaces = result.interfaces?.map((one) => (one.sandbox ? { ...one, sandbox: "/run/netns/x" } : one));
        refused(stage.ask(stage.main(), { command: "CHECK", pod, request: { prevResult: { ...result, interfaces } } }));
      },
    },
    {
      number: 109,
      title: "CHECK never changes anything",
      everyBackend: true,
      run(stage) {
        const { pod, prevResult } = attach(stage);
        const before = stage.look();
        for (const answer of stage.each("CHECK", pod, { prevResult })) silent(answer);
        stage.wantUnchanged(before);
        stage.sh("ip route flush table main dev eth0", { in: pod.pod });
        stage.sh("nft flush ruleset");
        const spoilt = stage.look();
        stage.each("CHECK", pod, { prevResult });
        stage.wantUnchanged(spoilt);
      },
    },
  ],
};

interface Harm {
  readonly what: string;
  /** A shell script for the sandbox. */
  harm(address: string): string;
  /** A pattern that the error must match. */
  says(address: string): RegExp;
}

const harms: readonly Harm[] = [
  { what: "a link that is gone", harm: () => "ip link del eth0", says: () => /eth0/ },
  { what: "a link that is down", harm: () => "ip link set eth0 down", says: () => /eth0|down/ },
  {
    what: "another MAC address",
    harm: () => "ip link set eth0 address 02:00:00:00:01:04",
    says: () => /eth0|02:00:00:00:01:04/,
  },
  {
    what: "an address that is gone",
    harm: (address) => `ip address flush dev eth0 to ${address}`,
    says: (address) => new RegExp(address.replaceAll(".", "\\.")),
  },
  { what: "a route that is gone", harm: () => "ip route del default", says: () => /default|0\.0\.0\.0/ },
];

function attach(stage: Stage): { readonly pod: Pod; readonly prevResult: CniResult } {
  const pod = stage.newPod({ capabilities: attached(8080) });
  return { pod, prevResult: stage.add(pod) };
}

/** The host interface, and the ifb for egress, which the shaping plugin added to the result. */
function shapedLinks({ interfaces = [] }: CniResult): readonly [string, string] {
  const ofHost = interfaces.filter(({ sandbox }) => !sandbox).map(({ name }) => name);
  want(ofHost.length === 2, "the host's veth and an ifb in the result", ofHost);
  return ofHost as unknown as [string, string];
}
