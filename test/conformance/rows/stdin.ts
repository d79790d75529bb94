/** How any plugin handles its stdin, and how it refuses. Each row tests every plugin of the chain. */
import type { JsonObject } from "../../lib/conflist.ts";
import { refused, resultOf, silent } from "../judge.ts";
import { newest } from "../results.ts";
import { about, type Section, want } from "../row.ts";
import type { Answer, Stage } from "../stage.ts";
import type { Part } from "../subject.ts";

const badNetworkNames = ["a/b", "../x", "-n", "n n"];

export const stdin: Section = {
  title: "Protocol: stdin and errors",
  rows: [
    refusesStdin(20, "an empty stdin is rejected with code 6", [6], ""),
    refusesStdin(21, "truncated JSON is rejected with code 6", [6], '{"name"'),
    refusesStdin(22, "JSON that is not an object is rejected", [6, 7], "[]", '"x"', "1"),
    refusesStdin(
      23,
      "a configuration without a name is rejected with code 7",
      [7],
      '{"cniVersion":"1.0.0"}',
      '{"cniVersion":"1.0.0","name":""}',
      "null",
    ),
    {
      number: 24,
      title: "network names with invalid characters are rejected with code 7, and nothing changes",
      run: (stage) =>
        stage.wantNoChange(() =>
          stage.everyPart((part) => {
            for (const name of badNetworkNames) {
              about(JSON.stringify(name), () => refused(stage.ask(part, { request: { name } }), { code: 7 }));
            }
          }),
        ),
    },
    {
      number: 25,
      title: "a key of the wrong type is an error, not a guess",
      run: (stage) =>
        stage.everyPart((part) => {
          const wrong = [{ name: 5 }, { cniVersion: 5 }, ...wrongTypes(part, stage)];
          for (const request of wrong) about(JSON.stringify(request), () => refused(stage.ask(part, { request })));
        }),
    },
    {
      number: 26,
      title: "unknown keys and the runtime's own keys are ignored",
      run: (stage) =>
        addsWith(stage, { zzz: { a: 1 }, capabilities: { zzz: true, mac: true }, "cni.dev/x": 1, "cni.dev/y": null }),
    },
    {
      number: 27,
      title: "an optional key that is null counts as absent",
      run: (stage) => addsWith(stage, { dns: null, args: null, runtimeConfig: null }, { prevResult: null }),
    },
    {
      number: 28,
      title: "keys are case-insensitive, as containerd requires",
      run(stage) {
        const renamed = JSON.stringify(stage.list.plugins)
          .replaceAll('"ipam":', '"IPAM":')
          .replaceAll('"capabilities":', '"Capabilities":');
        want(renamed.includes('"IPAM":'), "a configuration with ipam", renamed);
        const part = stage.main();
        const pod = stage.newPod();
        const { cniVersion, ...rest } = stage.requestFor(part);
        const { ipam, ...others } = rest as { readonly ipam: unknown };
        const upper = { ...others, IPAM: ipam, CniVersion: cniVersion };
        const result = resultOf(stage.ask(part, { pod, stdin: JSON.stringify(upper) }));
        want(result.cniVersion === cniVersion, `a result in version ${cniVersion}`, result);
        silent(stage.ask(part, { command: "DEL", pod, stdin: JSON.stringify(upper) }));
      },
    },
    {
      number: 29,
      title: "white space, UTF-8 and a configuration of 1 MiB are accepted",
      run: (stage) =>
        stage.everyPart((part) => {
          const request = { ...stage.requestFor(part), zzz: "ä€😀".repeat(1), padding: "x".repeat(1 << 20) };
          const stdin = `\n\t ${JSON.stringify(request, undefined, 4)} \n\n`;
          const pod = { ...stage.newPod(), ifname: part.ifname };
          resultOf(stage.ask(part, { pod, stdin }));
          if (part.role === "main") stage.wantAttached(pod);
          silent(stage.ask(part, { command: "DEL", pod, stdin }));
        }),
    },
    {
      number: 30,
      title: "an error is one JSON object on stdout, with exit code 1 and no stack trace",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const answer of refusals(stage, part)) {
            refused(answer);
            want(!/\n\s+at |goroutine|panic:/.test(answer.stdout), "no stack trace on stdout", answer.stdout);
          }
        }),
    },
    {
      number: 31,
      title: "an error has the cniVersion of the request",
      run: (stage) =>
        stage.everyPart((part) => {
          const version = newest(part.versions);
          const { cniVersion } = refused(stage.ask(part, { request: { cniVersion: version }, command: "FOO" }));
          want(cniVersion === version, `cniVersion ${version} in the error`, cniVersion ?? "none");
        }),
    },
  ],
};

function refusesStdin(number: number, title: string, code: readonly number[], ...texts: readonly string[]) {
  return {
    number,
    title,
    run: (stage: Stage) =>
      stage.everyPart((part) => {
        for (const stdin of texts) about(JSON.stringify(stdin), () => refused(stage.ask(part, { stdin }), { code }));
      }),
  };
}

/** ADD and DEL of every plugin with these keys; `first`: only for plugins that begin a chain. */
function addsWith(stage: Stage, request: JsonObject, first: JsonObject = {}): void {
  stage.everyPart((part) => {
    const keys = part.chained ? request : { ...request, ...first };
    const pod = { ...stage.newPod(), ifname: part.ifname };
    const version = newest(part.versions);
    const { cniVersion } = resultOf(stage.ask(part, { pod, request: keys }));
    want(cniVersion === version, `a result in version ${version}`, cniVersion);
    if (part.role === "main") stage.wantAttached(pod);
    silent(stage.ask(part, { command: "DEL", pod, request: keys }));
  });
}

function wrongTypes({ role, conf }: Part, { subject }: Stage): readonly JsonObject[] {
  const ipam = conf.ipam as JsonObject | undefined;
  switch (role) {
    case "main":
      return [{ mtu: "wide" }, { ipam: "x" }, { ipam: [] }];
    case "ipam":
      return subject.dialect ? [{ ipam: { ...ipam, ...subject.dialect.wrongTypes } }] : [];
    case "bandwidth":
      return [{ ingressRate: "fast", ingressBurst: 8000 }, { runtimeConfig: { bandwidth: { egressRate: "fast" } } }];
    case "portmap":
      return [
        { snat: "yes" },
        { runtimeConfig: { portMappings: [{ hostPort: {}, containerPort: 80, protocol: "tcp" }] } },
      ];
    case "loopback":
      return [];
  }
}

/** Refusals of requests that are invalid in one respect each. */
function refusals(stage: Stage, part: Part): readonly Answer[] {
  return [
    stage.ask(part, { env: { CNI_CONTAINERID: "a/b" } }),
    stage.ask(part, { env: { CNI_IFNAME: "" } }),
    stage.ask(part, { stdin: "{" }),
    stage.ask(part, { request: { name: "" } }),
    stage.ask(part, { request: { cniVersion: "9.9.9" } }),
    ...(part.role === "main" ? [stage.ask(part, { env: { CNI_NETNS: "/run/netns/none" } })] : []),
    stage.ask(part, { command: "CHECK", request: { cniVersion: "0.3.1" } }),
  ];
}
