/** How a plugin handles the result of preceding plugins. */
import type { JsonObject } from "../../lib/conflist.ts";
import { answers, serve } from "../../lib/node/traffic.ts";
import { type CniResult, sortKeys } from "../../lib/runtimes/runner.ts";
import { attached } from "../chains.ts";
import { accepted, orderly, refused, resultOf } from "../judge.ts";
import { newest, someResult } from "../results.ts";
import { about, DoesNotApply, type Section, want } from "../row.ts";
import type { Answer, Pod, Question, Stage } from "../stage.ts";
import type { Part } from "../subject.ts";

const chained = ({ chained }: Part) => chained;

export const chaining: Section = {
  title: "Chaining",
  rows: [
    {
      number: 52,
      title: "a chained plugin without prevResult rejects ADD, even if it has nothing to do",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const runtimeConfig of [undefined, attached(8080)]) {
            refused(stage.ask(part, { request: { prevResult: undefined, runtimeConfig } }));
          }
        }, chained),
    },
    {
      number: 53,
      title: "a result is passed on completely, with the plugin's own changes",
      run: (stage) =>
        stage.everyPart((part) => {
          const { pod, result } = begin(stage);
          const prevResult = { ...result, ...rich(result) };
          const answer = resultOf(work(stage, part, pod, { prevResult }));
          wantSame(withoutOwn(answer, prevResult), prevResult);
        }, chained),
    },
    {
      number: 54,
      title: "mtu, socketPath and pciID of interfaces, and mtu and table of routes, are passed on",
      run: (stage) =>
        stage.everyPart((part) => {
          if (!part.versions.includes("1.1.0")) throw new DoesNotApply("it does not speak 1.1.0, which brought them");
          const { pod, result } = begin(stage);
          const [host, ...others] = result.interfaces ?? [];
          const prevResult = {
            ...result,
            interfaces: [{ ...host, mtu: 1450, socketPath: "/run/x.sock", pciID: "0000:00:1f.6" }, ...others],
            routes: [{ dst: "198.18.0.0/15", mtu: 1400, advmss: 1360, priority: 7, table: 9, scope: 0 }],
          };
          const answer = resultOf(work(stage, part, pod, { prevResult }));
          wantSame(withoutOwn(answer, prevResult), prevResult);
        }, chained),
    },
    {
      number: 55,
      title: "a chain works in 0.3.1, 0.4.0 and 1.0.0, and answers in the requested version",
      run(stage) {
        for (const cniVersion of ["0.3.1", "0.4.0", "1.0.0"]) {
          about(cniVersion, () => {
            const list = { ...stage.list, cniVersion };
            const pod = stage.newPod({ capabilities: attached(8080) });
            const result = stage.add(pod, list);
            want(result.cniVersion === cniVersion, `a result in ${cniVersion}`, result);
            stage.wantAttached(pod);
            stage.del(pod, list);
          });
        }
      },
    },
    {
      number: 56,
      title: "a result without cniVersion has the version of the request",
      run: (stage) =>
        stage.everyPart((part) => {
          const { pod, result } = begin(stage);
          const { cniVersion } = resultOf(
            work(stage, part, pod, { prevResult: { ...result, cniVersion: undefined } as JsonObject }),
          );
          want(cniVersion === newest(part.versions), "a result in the request's version", cniVersion);
        }, chained),
    },
    {
      number: 57,
      title: "a prevResult in an unknown version, or a missing one, is rejected",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const prevResult of [{ ...someResult("1.0.0", "/none"), cniVersion: "7.0.0" }, []]) {
            for (const command of ["ADD", "CHECK"]) {
              about(JSON.stringify(prevResult), () => {
                const request = { prevResult, runtimeConfig: attached(8080) } as JsonObject;
                refused(stage.ask(part, { command, request }));
              });
            }
          }
        }, chained),
    },
    {
      number: 58,
      title: "a host port leads to an address that refers to no interface",
      requires: ["portmap"],
      run(stage) {
        const { pod, result } = begin(stage);
        const ips = (result.ips ?? []).map(({ interface: _, ...ip }) => ip);
        accepted(work(stage, stage.part("portmap"), pod, { prevResult: { cniVersion: result.cniVersion, ips } }));
        serve(stage.node, pod.pod, 80);
        want(answers(stage.node, "outside", "203.0.113.1", 8080), "an answer on host port 8080", "none");
      },
    },
    {
      number: 59,
      title: "an address with an index beyond the interfaces crashes no plugin",
      run: (stage) =>
        stage.everyPart((part) => {
          const { pod, result } = begin(stage);
          const ips = (result.ips ?? []).map((ip) => ({ ...ip, interface: 99 }));
          orderly(work(stage, part, pod, { prevResult: { ...result, ips } }));
        }, chained),
    },
    {
      number: 60,
      title: "with several interfaces, a plugin uses that of CNI_IFNAME",
      requires: ["portmap", "bandwidth"],
      run(stage) {
        const pod = stage.newPod({ ifname: "net1" });
        const prevResult = twoInterfaces(stage, pod);
        accepted(work(stage, stage.part("portmap"), pod, { prevResult }));
        accepted(work(stage, stage.part("bandwidth"), pod, { prevResult }));
        serve(stage.node, pod.pod, 80, "net1", "10.22.1.2");
        want(answers(stage.node, "outside", "203.0.113.1", 8080), "an answer of net1's address", "none");
        const shaped = stage.sh("tc qdisc show | grep tbf");
        want(shaped.includes("dev veth1 ") && !shaped.includes("dev veth0 "), "limits on veth1, not on veth0", shaped);
      },
    },
    {
      number: 61,
      title: "a result without IPv4, without IPv6 or without any address is accepted",
      run: (stage) =>
        stage.everyPart((part) => {
          const v4 = { address: "10.22.0.9/32" };
          const v6 = { address: "fd00:22::9/128" };
          for (const ips of [[v4], [v6], []]) {
            about(JSON.stringify(ips), () => {
              const { pod, result } = begin(stage);
              const labelled = ips.map((ip) => ({ ...ip, interface: containerIndex(result, pod) }));
              accepted(work(stage, part, pod, { prevResult: { ...result, ips: labelled } }));
              stage.ask(part, { command: "DEL", pod });
            });
          }
        }, chained),
    },
    {
      number: 62,
      title: "a main plugin ignores or rejects a prevResult, and merges nothing from it",
      run(stage) {
        const part = stage.main();
        const prevResult = someResult(newest(part.versions), "/run/netns/other");
        const answer = stage.ask(part, { pod: stage.newPod(), request: { prevResult } });
        if (!orderly(answer)) return;
        const names = (resultOf(answer).interfaces ?? []).map(({ name }) => name);
        want(!names.includes("veth0"), "no interface of the other's result", names);
      },
    },
  ],
};

/** A new sandbox with the main plugin's interface. */
function begin(stage: Stage): { readonly pod: Pod; readonly result: CniResult } {
  const pod = stage.newPod();
  return { pod, result: resultOf(stage.ask(stage.main(), { pod })) };
}

/** ADD of a chained plugin with a host port and limits. */
function work(stage: Stage, part: Part, pod: Question["pod"] & object, request: JsonObject): Answer {
  return stage.ask(part, { pod, request: { runtimeConfig: attached(8080), ...request } });
}

/** A result with every possible key. */
function rich(result: CniResult): JsonObject {
  return {
    routes: [{ dst: "0.0.0.0/0" }, { dst: "198.18.0.0/15", gw: "10.22.0.1" }, { dst: "fd00:18::/32", gw: "fd00::1" }],
    dns: { nameservers: ["192.0.2.53"], domain: "a.test", search: ["a.test", "b.test"], options: ["ndots:5"] },
    interfaces: [...(result.interfaces ?? []), { name: "net9", mac: "02:00:00:00:00:09", sandbox: "/run/netns/x" }],
  };
}

/** Removes what a plugin added for itself: interfaces of the host. */
function withoutOwn(result: CniResult, prevResult: JsonObject): JsonObject {
  const known = (prevResult as CniResult).interfaces ?? [];
  const interfaces = (result.interfaces ?? []).filter(
    ({ name, sandbox }) => sandbox || known.some((one) => one.name === name),
  );
  return { ...result, interfaces };
}

function wantSame(came: JsonObject, wanted: JsonObject): void {
  const [a, b] = [canonical(came), canonical(wanted)];
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  const different = keys.filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]));
  const part = (of: JsonObject) => JSON.stringify(Object.fromEntries(different.map((key) => [key, of[key]])));
  want(different.length === 0, part(b), part(a));
}

/** Sorted keys, and no empty dns, which only some versions print. */
function canonical({ dns, ...rest }: JsonObject): JsonObject {
  const empty = dns === undefined || Object.keys(dns as object).length === 0;
  return sortKeys(empty ? rest : { dns, ...rest }) as JsonObject;
}

/** A sandbox with eth0 and net1, 10.22.0.2 and 10.22.1.2, created without any plugin; returns the result that describes it. */
function twoInterfaces({ node, list }: Stage, { pod, netns }: Pod): JsonObject {
  for (const [index, ifname] of ["eth0", "net1"].entries()) {
    node.sh(`
ip link add veth${index} type veth peer name ${ifname} netns ${pod}
ip link set veth${index} up
ip -n ${pod} link set ${ifname} up
ip -n ${pod} address add 10.22.${index}.2/24 dev ${ifname}
ip address add 10.22.${index}.1/24 dev veth${index}`);
  }
  node.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
  node.sh("ip route add default via 10.22.1.1", { in: pod });
  return {
    cniVersion: list.cniVersion,
    interfaces: [
      { name: "veth0" },
      { name: "eth0", sandbox: netns },
      { name: "veth1" },
      { name: "net1", sandbox: netns },
    ],
    ips: [
      { address: "10.22.0.2/24", interface: 1 },
      { address: "10.22.1.2/24", interface: 3 },
    ],
  };
}

function containerIndex({ interfaces = [] }: CniResult, { ifname }: Pod): number {
  return interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox);
}
