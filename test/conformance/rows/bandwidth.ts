/** Limits, tested by the kernel's queues and by the resulting rates. */
import type { JsonObject } from "../../lib/conflist.ts";
import { outsideAddress4 } from "../../lib/node/netns.ts";
import { measureRate, type Spot } from "../../lib/node/traffic.ts";
import type { CniResult } from "../../lib/runtimes/runner.ts";
import { accepted, refused, silent } from "../judge.ts";
import { addressesOf, newest } from "../results.ts";
import { about, type Section, Unmet, want } from "../row.ts";
import type { Pod, Stage } from "../stage.ts";

/** The share of a rate on the wire that is TCP payload: frames of 1514 bytes on links with MTU 1500. */
const payload = 1448 / 1514;

export const bandwidth: Section = {
  title: "bandwidth",
  rows: [
    {
      number: 149,
      title: "ingress: a token bucket on the host interface, with the requested rate and 25 ms of latency",
      requires: ["bandwidth"],
      run(stage) {
        const slow = shaped(stage, { ingressRate: 1e6, ingressBurst: 1e6 });
        const queue = stage.sh("tc qdisc show | grep tbf");
        want(/ rate 1Mbit burst 125000b lat 25ms/.test(queue), "rate 1Mbit burst 125000b lat 25ms", queue);
        stage.del(slow.pod);
        const { pod, address } = shaped(stage, { ingressRate: 20e6, ingressBurst: 1e6 });
        wantRate(stage, (least) => rateOf(stage, undefined, pod.pod, address, least), 20e6);
      },
    },
    {
      number: 150,
      title: "egress: the requested rate, and an interface in the result that DEL removes",
      requires: ["bandwidth"],
      run(stage) {
        const before = stage.sh("ip -br link | wc -l").trim();
        const { pod, added } = shaped(stage, { egressRate: 20e6, egressBurst: 1e6 });
        want(added.length === 1, "one more interface in the result", added);
        wantRate(stage, (least) => rateOf(stage, pod.pod, "outside", outsideAddress4, least), 20e6);
        stage.del(pod);
        const now = stage.sh("ip -br link | wc -l").trim();
        want(now === before, `${before} links after DEL`, now);
      },
    },
    {
      number: 151,
      title: "a rate without a burst, or a burst without a rate, is an error that names both",
      requires: ["bandwidth"],
      run(stage) {
        for (const limits of [{ ingressRate: 1e6 }, { ingressBurst: 1e6 }, { egressRate: 1e6 }, { egressBurst: 1e6 }]) {
          about(JSON.stringify(limits), () => {
            refused(stage.ask(stage.part("bandwidth"), { request: limits }), { says: [/rate/, /burst/] });
          });
        }
      },
    },
    {
      number: 152,
      title: "the bursts of containerd and CRI-O (2^32-1 and 34359738359 bits) are accepted, and the rate is correct",
      note: "the bucket's size cannot be read back: the kernel reports it in 32 bits of 64 ns",
      requires: ["bandwidth"],
      run(stage) {
        for (const burst of [2 ** 32 - 1, 34359738359]) {
          about(`a burst of ${burst}`, () => {
            const limits = { ingressRate: 10e6, ingressBurst: burst, egressRate: 10e6, egressBurst: burst };
            const { pod } = shaped(stage, limits);
            const queues = JSON.parse(stage.sh("tc -j qdisc show")) as readonly Queue[];
            const rates = queues.filter(({ kind }) => kind === "tbf").map(({ options }) => options.rate);
            want(rates.join() === "1250000,1250000", "two buckets of 1250000 bytes per second", rates);
            const bitsPerSecond = rateOf(stage, pod.pod, "outside", outsideAddress4, 9e6);
            want(bitsPerSecond > 9e6, "10 Mbit/s and what the burst adds", `${bitsPerSecond} bit/s`);
            stage.del(pod);
          });
        }
      },
    },
    {
      number: 153,
      title: "without limits the result is passed on, and nothing changes",
      requires: ["bandwidth"],
      run(stage) {
        const { pod, added } = shaped(stage, {});
        want(added.length === 0, "no more interfaces", added);
        const queues = stage.sh("tc qdisc show");
        want(!queues.includes("tbf"), "no token bucket", queues);
        const zero = { ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 };
        const prevResult = stage.runner.cached(stage.list, pod);
        accepted(
          stage.ask(stage.part("bandwidth"), { pod, request: { prevResult, runtimeConfig: { bandwidth: zero } } }),
        );
        want(!stage.sh("tc qdisc show").includes("tbf"), "no token bucket", "one");
      },
    },
    {
      number: 154,
      title: "an interface that is not a veth is rejected, and nothing is left",
      requires: ["bandwidth"],
      run(stage) {
        const part = stage.part("bandwidth");
        const pod = stage.newPod();
        stage.sh("ip link add eth0 type bridge; ip link set eth0 up", { in: pod.pod });
        const interfaces = [{ name: "uplink" }, { name: "eth0", sandbox: pod.netns }];
        const prevResult = {
          cniVersion: newest(part.versions),
          interfaces,
          ips: [{ address: "10.22.0.2/24", interface: 1 }],
        };
        const limits = { ingressRate: 1e6, ingressBurst: 1e6, egressRate: 1e6, egressBurst: 1e6 };
        const before = stage.look();
        const answer = stage.ask(part, { pod, request: { prevResult, ...limits } });
        refused(answer);
        stage.wantUnchanged(before);
        silent(stage.ask(part, { command: "DEL", pod }));
      },
    },
  ],
};

interface Queue {
  readonly kind: string;
  readonly options: { readonly rate?: number };
}

interface Shaped {
  readonly pod: Pod;
  readonly address: string;
  /** Interfaces of the result other than the main plugin's. */
  readonly added: readonly string[];
}

/** A new container with these limits. */
function shaped(stage: Stage, limits: JsonObject): Shaped {
  const pod = stage.newPod(Object.keys(limits).length === 0 ? {} : { capabilities: { bandwidth: limits } });
  const before = stage.runner.calls.length;
  const result = stage.add(pod);
  const namesOf = ({ interfaces = [] }: CniResult) => interfaces.map(({ name }) => name);
  const known = namesOf(JSON.parse(stage.runner.calls[before]?.stdout ?? "{}"));
  const added = namesOf(result).filter((name) => !known.includes(name));
  return { pod, address: addressesOf(result)[0] ?? "", added };
}

function rateOf({ node }: Stage, from: Spot, to: Spot, address: string, least: number): number {
  try {
    return measureRate(node, from, to, address, { least }).bitsPerSecond;
  } catch (error) {
    throw new Unmet(`traffic to ${address}`, (error as Error).message);
  }
}

/** Requires a rate within a tenth of the configured one on the wire. */
function wantRate(stage: Stage, measure: (least: number) => number, asked: number): void {
  const shareOf = (rate: number) => rate / payload / asked;
  const isRight = (rate: number) => shareOf(rate) > 0.9 && shareOf(rate) < 1.1;
  const rate = measure(0.9 * payload * asked);
  stage.figure = `${(shareOf(rate) * 100).toFixed(1)} % of the rate`;
  want(isRight(rate), `${asked} bit/s, within a tenth`, `${rate} bit/s of payload`);
}
