/** Host ports, tested by packets; each row runs with every back end. */
import type { Conflist, JsonObject } from "../../lib/conflist.ts";
import { nodeAddress4, nodeAddress6, outsideAddress4 } from "../../lib/node/netns.ts";
import { answers, ask, type Spot, serve } from "../../lib/node/traffic.ts";
import { requestOf } from "../../lib/runtimes/runner.ts";
import { bothFamilies, tcp, withPlugin } from "../chains.ts";
import { askUdp, knockSctp, serveUdp } from "../datagram.ts";
import { refused, resultOf } from "../judge.ts";
import { newest, someResult } from "../results.ts";
import { about, type Row, type Section, want } from "../row.ts";
import type { Answer, Pod, Stage } from "../stage.ts";

/** Another address of the node, which the outside can reach. */
const otherAddress4 = "203.0.113.9";

export const portmap: Section = {
  title: "portmap",
  rows: [
    row(134, "TCP from outside arrives with the client's address", ({ stage, list }) => {
      const pod = expose(stage, list, [tcp(8080)]);
      wantAnswer(stage, "outside", nodeAddress4, 8080, `${pod.pod} sees ${outsideAddress4}`);
    }),
    row(135, "TCP from the node itself arrives, through its address and through 127.0.0.1", ({ stage, list }) => {
      const pod = expose(stage, list, [tcp(8080)]);
      for (const host of [nodeAddress4, "127.0.0.1"]) wantAnswer(stage, undefined, host, 8080, `${pod.pod} sees`);
    }),
    row(136, "a container reaches itself through its host port", ({ stage, list }) => {
      const pod = expose(stage, list, [tcp(8080)]);
      wantAnswer(stage, pod.pod, nodeAddress4, 8080, `${pod.pod} sees`);
    }),
    row(137, "a UDP client that keeps sending reaches the container that has the port now", ({ stage, list }) => {
      const first = exposeUdp(stage, list);
      wantUdp(stage, `${first.pod} sees ${outsideAddress4}:4000`);
      stage.del(first, list);
      const second = exposeUdp(stage, list);
      wantUdp(stage, `${second.pod} sees ${outsideAddress4}:4000`);
    }),
    row(138, "a UDP client that keeps sending after DEL is not forwarded to the old address", ({ stage, list }) => {
      const pod = exposeUdp(stage, list);
      wantUdp(stage, `${pod.pod} sees ${outsideAddress4}:4000`);
      stage.del(pod, list);
      serveUdp(stage.node, undefined, 5353, "node");
      wantUdp(stage, `node sees ${outsideAddress4}:4000`);
    }),
    row(139, "SCTP arrives with the client's address", ({ stage, list }) => {
      const pod = stage.newPod({ capabilities: ports([{ hostPort: 8080, containerPort: 80, protocol: "sctp" }]) });
      stage.add(pod, list);
      const seen = knockSctp(stage.node, { from: "outside", host: nodeAddress4, port: 8080, spot: pod.pod, to: 80 });
      want(seen === `from ${outsideAddress4}`, `a packet from ${outsideAddress4}`, seen ?? "none");
    }),
    row(140, "IPv6 from outside and from the node arrives", ({ stage }) => {
      const list = withoutBandwidth(bothFamilies(stage.subject));
      const pod = expose(stage, list, [tcp(8080)]);
      for (const from of ["outside", undefined]) wantAnswer(stage, from, nodeAddress6, 8080, `${pod.pod} sees`);
      wantAnswer(stage, "outside", nodeAddress4, 8080, `${pod.pod} sees`);
    }),
    row(141, "hostIP: only that address, all of a family for 0.0.0.0 and ::, or all", ({ stage }) => {
      const list = withoutBandwidth(bothFamilies(stage.subject));
      stage.sh(`ip address add ${otherAddress4}/24 dev uplink`);
      const all = [nodeAddress4, otherAddress4, nodeAddress6];
      const cases: readonly (readonly [string, readonly string[]])[] = [
        [nodeAddress4, [nodeAddress4]],
        [nodeAddress6, [nodeAddress6]],
        ["0.0.0.0", [nodeAddress4, otherAddress4]],
        ["::", [nodeAddress6]],
        ["", all],
      ];
      expose(
        stage,
        list,
        cases.map(([hostIP], index) => ({ ...tcp(8080 + index), hostIP })),
      );
      for (const [index, [hostIP, wanted]] of cases.entries()) {
        for (const address of all) {
          const came = answers(stage.node, "outside", address, 8080 + index);
          want(came === wanted.includes(address), `hostIP "${hostIP}" for ${wanted}`, `${came} by ${address}`);
        }
      }
    }),
    row(142, "a hostIP that is not a valid address is rejected", ({ stage }) => {
      refused(mapping(stage, { ...tcp(8080), hostIP: "foo" }));
    }),
    row(143, "invalid ports and protocols are rejected; protocols are case-insensitive", ({ stage, list }) => {
      const { protocol: _, ...protocolless } = tcp(8080);
      const bad: readonly JsonObject[] = [
        ...[0, -1, 65536, "80"].flatMap((port) => [
          { ...tcp(8080), hostPort: port },
          { ...tcp(8080), containerPort: port },
        ]),
        protocolless,
        { ...tcp(8080), protocol: "icmp" },
      ];
      for (const one of bad) about(JSON.stringify(one), () => refused(mapping(stage, one)));
      const pod = expose(stage, list, [{ ...tcp(8080), protocol: "TCP" }]);
      wantAnswer(stage, "outside", nodeAddress4, 8080, `${pod.pod} sees`);
    }),
    row(144, "forty mappings of one container work", ({ stage, list }) => {
      const numbers = Array.from({ length: 40 }, (_, index) => 9000 + index * 7);
      const pod = expose(stage, list, numbers.map(tcp));
      for (const number of numbers) wantAnswer(stage, "outside", nodeAddress4, number, `${pod.pod} sees`);
    }),
    row(145, "snat, masqAll, markMasqBit, externalSetMarkChain and conditions work", options),
    row(146, "without mappings the result is passed on, and nothing changes", ({ stage }) => {
      const part = stage.part("portmap");
      const prevResult = someResult(newest(part.versions), "/run/netns/none");
      stage.ask(part, { request: { prevResult } });
      const before = stage.look();
      for (const runtimeConfig of [undefined, {}, { portMappings: [] }]) {
        const result = resultOf(stage.ask(part, { request: { prevResult, runtimeConfig } }));
        want(result.ips?.[0]?.address === "10.22.0.2/24", "the result as it came", result);
      }
      stage.wantUnchanged(before);
    }),
    row(147, "containerd's spelling of keys works (HostPort)", ({ stage, list }) => {
      const sent = { HostPort: 8080, ContainerPort: 80, Protocol: "tcp", HostIP: "" };
      const pod = expose(stage, list, [sent]);
      wantAnswer(stage, "outside", nodeAddress4, 8080, `${pod.pod} sees ${outsideAddress4}`);
    }),
    row(148, "the last DEL leaves no rule of any container", ({ stage, list }) => {
      const clean = stage.settle(list);
      const pods = [8080, 8081].map((port) => expose(stage, list, [tcp(port), { ...tcp(port), protocol: "udp" }]));
      for (const pod of pods) stage.del(pod, list);
      stage.wantNothingLeft(clean, pods);
    }),
  ],
};

interface Case {
  readonly stage: Stage;
  /** Main plugin and portmap. */
  readonly list: Conflist;
}

function row(number: number, title: string, judge: (one: Case) => void): Row {
  const run = (stage: Stage) => judge({ stage, list: withoutBandwidth(stage.list) });
  return { number, title, requires: ["portmap"], everyBackend: true, run };
}

function withoutBandwidth(list: Conflist): Conflist {
  const shapes = ({ capabilities }: JsonObject) => (capabilities as JsonObject | undefined)?.bandwidth === true;
  return { ...list, plugins: list.plugins.filter((plugin) => !shapes(plugin)) };
}

function ports(portMappings: readonly JsonObject[]): JsonObject {
  return { portMappings };
}

/** A new container with these mappings, and a service on its port 80. */
function expose(stage: Stage, list: Conflist, mappings: readonly JsonObject[]): Pod {
  const pod = stage.newPod({ capabilities: ports(mappings) });
  stage.add(pod, list);
  serve(stage.node, pod.pod, 80);
  return pod;
}

/** A new container whose port 53 is the host's 5353. */
function exposeUdp(stage: Stage, list: Conflist): Pod {
  const pod = stage.newPod({ capabilities: ports([{ hostPort: 5353, containerPort: 53, protocol: "udp" }]) });
  stage.add(pod, list);
  serveUdp(stage.node, pod.pod, 53, pod.pod);
  return pod;
}

function wantUdp(stage: Stage, wanted: string): void {
  const came = askUdp(stage.node, "outside", 4000, nodeAddress4, 5353);
  want(came === wanted, `"${wanted}"`, came ?? "no answer");
}

function wantAnswer(stage: Stage, from: Spot, host: string, port: number, wanted: string): void {
  const came = answerOf(stage, from, host, port);
  want(came.startsWith(wanted), `"${wanted}" for ${from ?? "the node"} at ${host}:${port}`, came);
}

/** The answer of the service behind a host port, or the reason why there is none. */
function answerOf({ node }: Stage, from: Spot, host: string, port: number): string {
  try {
    return ask(node, from, host, port);
  } catch (error) {
    return (error as Error).message;
  }
}

/** ADD of portmap with one mapping, for a container that does not exist. */
function mapping(stage: Stage, one: JsonObject): Answer {
  return stage.ask(stage.part("portmap"), { request: { runtimeConfig: ports([one]) } });
}

function options({ stage, list }: Case): void {
  const { node, subject } = stage;
  const [backend] = subject.portmapBackends;
  const exposed = (keys: JsonObject, judge: (pod: Pod) => void) =>
    about(JSON.stringify(keys), () => {
      const changed = withPlugin(list, "portmap", keys);
      const pod = expose(stage, changed, [tcp(8080)]);
      judge(pod);
      for (const plugin of [...changed.plugins].reverse()) {
        stage.runner.exec("DEL", plugin.type, requestOf(changed, plugin, { sandbox: pod }), pod);
      }
    });
  exposed({ snat: false }, (pod) => {
    wantAnswer(stage, "outside", nodeAddress4, 8080, `${pod.pod} sees ${outsideAddress4}`);
    want(!answers(node, undefined, "127.0.0.1", 8080), "no answer by 127.0.0.1", "an answer");
  });
  exposed({ masqAll: true }, (pod) => {
    const seen = answerOf(stage, "outside", nodeAddress4, 8080);
    want(seen.startsWith(`${pod.pod} sees`) && !seen.includes(outsideAddress4), "a client that is hidden", seen);
  });
  // The outside has two addresses; one of them is to be blocked.
  const barred = "203.0.113.66";
  stage.sh(`ip -n outside address add ${barred}/24 dev uplink`);
  const inWords = backend === "nftables" ? ["ip", "saddr", "!=", barred] : ["!", "-s", `${barred}/32`];
  exposed({ conditionsV4: inWords }, () => {
    want(answers(node, "outside", nodeAddress4, 8080), `an answer for ${outsideAddress4}`, "none");
    stage.sh(`ip -n outside route add ${nodeAddress4}/32 dev uplink src ${barred}`);
    want(!answers(node, "outside", nodeAddress4, 8080), `no answer for ${barred}`, "an answer");
    stage.sh(`ip -n outside route del ${nodeAddress4}/32 dev uplink src ${barred}`);
  });
  if (backend === "nftables") return;
  exposed({ markMasqBit: 5 }, (pod) => {
    wantAnswer(stage, undefined, "127.0.0.1", 8080, `${pod.pod} sees`);
    const marks = node
      .sh("iptables-save -t nat")
      .split("\n")
      .filter((line) => line.includes("MARK"));
    want(
      marks.some((line) => line.includes("0x20/0x20")),
      "a mark of bit 5",
      marks,
    );
  });
  stage.sh("iptables -t nat -N KEEPER; iptables -t nat -A KEEPER -j MARK --set-xmark 0x400/0x400");
  exposed({ externalSetMarkChain: "KEEPER", markMasqBit: undefined }, () => {
    const jumps = node
      .sh("iptables-save -t nat")
      .split("\n")
      .filter((line) => line.endsWith("-j KEEPER"));
    want(jumps.length > 0, "rules that lead to KEEPER", jumps);
  });
}
