/** The versions that a plugin supports, and the format of results in each. */
import type { JsonObject } from "../../lib/conflist.ts";
import { isNewer } from "../../lib/conflist.ts";
import type { CniResult } from "../../lib/runtimes/runner.ts";
import { bothFamilies, ipamAnswer, mainOf, withIpam, withMain } from "../chains.ts";
import { place } from "../doubles.ts";
import { refused, resultOf, silent } from "../judge.ts";
import { about, type Section, want } from "../row.ts";
import type { Stage } from "../stage.ts";
import type { Part } from "../subject.ts";

export const versions: Section = {
  title: "Versions and results",
  rows: [
    {
      number: 37,
      title: "an unsupported version is rejected with code 1, and the error lists the supported ones",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const command of ["ADD", "DEL"]) {
            const answer = stage.ask(part, { command, request: { cniVersion: "9.9.9" } });
            const { details } = refused(answer, { code: 1 });
            const listed = part.versions.every((version) => details?.includes(`"${version}"`));
            want(listed, "details that list the supported versions", details ?? "no details");
          }
        }),
    },
    {
      number: 38,
      title: "an invalid version is rejected",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const cniVersion of ["1.0", "v1.0.0", "abc"]) {
            about(`"${cniVersion}"`, () => {
              refused(stage.ask(part, { request: { cniVersion } }), { code: 1 });
              refused(stage.ask(part, { command: "CHECK", request: { cniVersion } }), { code: [1, 6] });
            });
          }
        }),
    },
    {
      number: 39,
      title: "a request without cniVersion has version 0.1.0",
      run: (stage) =>
        stage.everyPart((part) => {
          const pod = { ...stage.newPod(), ifname: part.ifname };
          const answer = stage.ask(part, { pod, request: { cniVersion: undefined } });
          if (!part.versions.includes("0.1.0")) return void refused(answer, { code: 1 });
          const result = resultOf(answer) as JsonObject;
          want("ip4" in result && !("ips" in result), "a result with ip4", result);
        }, beginsAChain),
    },
    {
      number: 40,
      title: "a result has the version of the request, for every version",
      run: (stage) =>
        stage.everyPart((part) => {
          // Chains exist since 0.3.0.
          for (const version of part.versions.filter((one) => !part.chained || !isNewer("0.3.0", one))) {
            const { cniVersion } = resultIn(version, part, stage);
            want(cniVersion === version, `a result in version ${version}`, cniVersion ?? "no cniVersion");
          }
        }),
    },
    {
      number: 41,
      title: "0.1.0 and 0.2.0: ip4 and ip6, and no interfaces, ips or routes",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const version of part.versions.filter((one) => isNewer("0.3.0", one))) {
            const result = resultIn(version, part, stage) as JsonObject;
            const newer = ["interfaces", "ips", "routes"].filter((key) => key in result);
            want(newer.length === 0 && "ip4" in result, `ip4 alone in version ${version}`, result);
          }
        }, beginsAChain),
    },
    {
      number: 42,
      title: "0.3.0 to 0.4.0: each item of ips has its version, for both families",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const version of part.versions.filter((one) => !isNewer("0.3.0", one) && isNewer("1.0.0", one))) {
            const { ips = [] } = resultIn(version, part, stage, bothFamilies(stage.subject)) as {
              ips?: { version?: string; address: string }[];
            };
            const right = ips.every((ip) => ip.version === (ip.address.includes(":") ? "6" : "4"));
            want(ips.length > 0 && right, `ips with "version" in ${version}`, ips);
          }
        }),
    },
    {
      number: 43,
      title: "from 1.0.0 on: no version in ips, and addresses with prefix lengths",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const version of part.versions.filter((one) => !isNewer("1.0.0", one))) {
            const { ips = [] } = resultIn(version, part, stage) as { ips?: { version?: string; address: string }[] };
            const right = ips.every((ip) => ip.version === undefined && /^[0-9a-f.:]+\/\d+$/.test(ip.address));
            want(ips.length > 0 && right, `ips without "version" in ${version}`, ips);
          }
        }),
    },
    {
      number: 44,
      title: "the container's interface has CNI_NETNS as sandbox, host interfaces have none",
      run(stage) {
        const pod = stage.newPod();
        const { interfaces = [] } = resultOf(stage.ask(stage.main(), { pod }));
        want(interfaces.length > 0, "interfaces", "none");
        for (const { name, sandbox = "" } of interfaces) {
          const wanted = name === pod.ifname ? pod.netns : "";
          want(sandbox === wanted, `sandbox "${wanted}" of "${name}"`, sandbox);
        }
      },
    },
    {
      number: 45,
      title: "every address refers to the container's interface by index",
      run(stage) {
        const { interfaces = [], ips = [] } = resultOf(stage.ask(stage.main(), { pod: stage.newPod() }));
        want(ips.length > 0, "addresses", "none");
        for (const { address, interface: index } of ips) {
          const name = index === undefined ? undefined : interfaces[index]?.name;
          want(name === "eth0", `${address} on eth0`, name ?? `index ${index}`);
        }
      },
    },
    {
      number: 46,
      title: "MAC addresses match the kernel's, in lower case",
      run(stage) {
        const pod = stage.newPod();
        const { interfaces = [] } = resultOf(stage.ask(stage.main(), { pod }));
        for (const { name, mac, sandbox } of interfaces) {
          const [link] = JSON.parse(stage.sh(`ip -j link show ${name}`, sandbox ? { in: pod.pod } : {}));
          want(mac === link.address, `${link.address} for "${name}"`, mac ?? "no mac");
        }
      },
    },
    {
      number: 47,
      title: "an IPAM plugin's result has no interfaces, and its addresses have no index",
      run(stage) {
        const result = resultOf(stage.ask(stage.part("ipam"), { pod: stage.newPod() }));
        want(!("interfaces" in result), "no interfaces", result);
        want((result.ips ?? []).every((ip) => !("interface" in ip)) === true, "no index", result);
      },
    },
    {
      number: 48,
      title: "the result has the IPAM plugin's dns unless the main plugin's configuration sets it",
      run(stage) {
        const [theirs, own] = [{ nameservers: ["192.0.2.53"], search: ["a.test"] }, { domain: "b.test" }];
        place(stage.node, { type: "resolver", answer: JSON.stringify({ ...ipamAnswer(stage.list), dns: theirs }) });
        for (const [dns, wanted] of [
          [undefined, theirs],
          [own, own],
        ]) {
          const list = withMain(withIpam(stage.list, { type: "resolver" }), dns === undefined ? {} : { dns });
          const part = stage.main(list);
          const pod = stage.newPod();
          const result = resultOf(stage.ask(part, { pod }));
          silent(stage.ask(part, { command: "DEL", pod }));
          want(JSON.stringify(result.dns) === JSON.stringify(wanted), `dns ${JSON.stringify(wanted)}`, result);
        }
      },
    },
    {
      number: 49,
      title: "mtu, advmss, priority and table of the IPAM plugin's routes are in the result and in the kernel",
      note: "only the result has the route's scope: how the main plugin reaches the gateway determines the scope",
      run(stage) {
        const route = { dst: "198.18.0.0/15", mtu: 1300, advmss: 1260, priority: 77, table: 100, scope: 0 };
        place(stage.node, { type: "router", answer: JSON.stringify({ ...ipamAnswer(stage.list), routes: [route] }) });
        const main = stage.main(withIpam(stage.list, { type: "router" }));
        const pod = stage.newPod();
        const { routes = [] } = resultOf(stage.ask(main, { pod })) as { routes?: JsonObject[] };
        const found = routes.find(({ dst }) => dst === route.dst) ?? {};
        const lost = Object.entries(route).filter(([key, value]) => found[key] !== value);
        want(lost.length === 0, `${JSON.stringify(Object.fromEntries(lost))} in the result`, routes);
        const lines = stage.sh("ip route show table 100", { in: pod.pod });
        const words = ["198.18.0.0/15", "mtu 1300", "advmss 1260", "metric 77"];
        want(
          words.every((word) => lines.includes(word)),
          `a route with ${words.join(", ")} in table 100`,
          lines,
        );
      },
    },
    {
      number: 50,
      title: "CHECK in a version before 0.4.0 is rejected with code 1",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const cniVersion of ["0.1.0", "0.2.0", "0.3.0", "0.3.1"]) {
            about(cniVersion, () =>
              refused(stage.ask(part, { command: "CHECK", request: { cniVersion } }), { code: 1 }),
            );
          }
        }),
    },
    {
      number: 51,
      title: "GC and STATUS in a version before 1.1.0 are rejected with code 1",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const command of ["GC", "STATUS"]) {
            for (const cniVersion of ["0.4.0", "1.0.0"]) {
              about(cniVersion, () => refused(stage.ask(part, { command, request: { cniVersion } }), { code: 1 }));
            }
          }
        }),
    },
  ],
};

function beginsAChain({ chained }: Part): boolean {
  return !chained;
}

/** A plugin's result of ADD in a version, with the main plugin's configuration from `list`; DEL follows. */
function resultIn(version: string, part: Part, stage: Stage, list = stage.list): CniResult {
  const pod = { ...stage.newPod(), ifname: part.ifname };
  const first = part.role === "main" || part.role === "ipam";
  const asked = { ...part, conf: first ? mainOf(list) : part.conf };
  const question = { pod, stdin: JSON.stringify(stage.requestFor(asked, version)) };
  const result = about(`in version ${version}`, () => resultOf(stage.ask(asked, question)));
  // Another row tests whether DEL succeeds.
  stage.ask(asked, { ...question, command: "DEL" });
  return result;
}
