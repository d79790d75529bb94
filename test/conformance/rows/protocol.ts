/** What any plugin does with the environment and stdin, whatever it is for. Each row asks every plugin of the chain. */
import type { JsonObject } from "../../lib/conflist.ts";
import type { Node } from "../../lib/netns.ts";
import { attached, ipamAnswer, onlyMain, withIpam } from "../chains.ts";
import { callsOf, place } from "../doubles.ts";
import { accepted, refused, resultOf, silent } from "../judge.ts";
import { about, type Section, want } from "../row.ts";
import { type Answer, newest, type Stage } from "../stage.ts";
import type { Part } from "../subject.ts";

const badContainerIds = ["../x", "-a", "a/b", "a b", "_a"];
const badInterfaceNames = [".", "..", "a/b", "a:b", "a b", "a\tb"];
const badNetworkNames = ["a/b", "../x", "-n", "n n"];

export const protocol: Section = {
  title: "Protocol",
  rows: [
    {
      number: 1,
      title: "without CNI_COMMAND a plugin says who it is and which versions it speaks, or refuses with 4",
      run: (stage) =>
        stage.everyPart((part) => {
          const { status, stdout, stderr } = stage.node.run([`${stage.subject.dir}/${part.type}`], { env: {} });
          if (status === 0) {
            want(stdout === "", "nothing on stdout", stdout);
            want(stderr.includes(part.type) && stderr.includes(newest(part.versions)), "name and versions", stderr);
          } else {
            refused({ status, signal: undefined, stdout, stderr, asked: part.type }, { code: 4 });
          }
        }),
    },
    {
      number: 2,
      title: "an unknown command is refused by name",
      run: (stage) =>
        stage.everyPart((part) => void refused(stage.ask(part, { command: "FOO" }), { code: 4, says: ["FOO"] })),
    },
    {
      number: 3,
      title: "a command in lower case is unknown",
      run: (stage) => stage.everyPart((part) => void refused(stage.ask(part, { command: "add" }), { code: 4 })),
    },
    {
      number: 4,
      title: "VERSION lists versions, 0.4.0, 1.0.0 and 1.1.0 among them, and needs nothing but its name",
      run: (stage) =>
        stage.everyPart((part) => {
          const env = only({ CNI_COMMAND: "VERSION" });
          judgeVersions(stage.ask(part, { command: "VERSION", env, stdin: '{"cniVersion":"1.1.0"}' }));
        }),
    },
    {
      number: 5,
      title: "VERSION needs no stdin",
      run: (stage) =>
        stage.everyPart((part) => judgeVersions(stage.ask(part, { command: "VERSION", stdin: "" }), ["0.4.0"])),
    },
    {
      number: 6,
      title: "VERSION does not mind garbage on stdin",
      run: (stage) =>
        stage.everyPart((part) => judgeVersions(stage.ask(part, { command: "VERSION", stdin: "xx" }), ["0.4.0"])),
    },
    {
      number: 7,
      title: "VERSION does not wait for stdin to end",
      run: (stage) =>
        stage.everyPart((part) => {
          // The shell holds the pipe open for writing; 124 would be the status of `timeout`.
          const held = 'd=$(mktemp -d) && mkfifo $d/p && exec 5<>$d/p && exec timeout 20 "$0" <$d/p 5>&-';
          judgeVersions(stage.ask(part, { command: "VERSION", under: ["bash", "--norc", "-c", held] }), ["0.4.0"]);
        }),
    },
    {
      number: 8,
      title: "VERSION echoes the cniVersion of the request",
      run: (stage) =>
        stage.everyPart((part) => {
          const answer = resultOf(stage.ask(part, { command: "VERSION", stdin: '{"cniVersion":"0.4.0"}' }));
          want(answer.cniVersion === "0.4.0", "cniVersion 0.4.0", answer);
        }),
    },
    {
      number: 9,
      title: "VERSION takes what libcni sends with it",
      run: (stage) =>
        stage.everyPart((part) => {
          const env = { CNI_CONTAINERID: "", CNI_NETNS: "dummy", CNI_IFNAME: "dummy", CNI_PATH: "dummy" };
          judgeVersions(stage.ask(part, { command: "VERSION", env }), ["0.4.0"]);
        }),
    },
    missing(10, "CNI_CONTAINERID", ["ADD", "DEL", "CHECK"]),
    missing(11, "CNI_NETNS", ["ADD", "CHECK"]),
    missing(12, "CNI_IFNAME", ["ADD", "DEL", "CHECK"]),
    {
      number: 13,
      title: "all variables that are missing are named at once",
      run: (stage) =>
        stage.everyPart((part) => {
          const says = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"];
          const env = Object.fromEntries(says.map((name) => [name, undefined]));
          refused(stage.ask(part, { env }), { code: 4, says });
        }),
    },
    {
      number: 14,
      title: "a variable that is set but empty is missing",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const name of ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]) {
            refused(stage.ask(part, { env: { [name]: "" } }), { code: 4, says: [name] });
          }
        }),
    },
    {
      number: 15,
      title: "container IDs of other characters are refused with 4, and nothing is done",
      run: (stage) => refuseEach(stage, "CNI_CONTAINERID", badContainerIds),
    },
    {
      number: 16,
      title: "odd but valid container IDs work: one letter, dots and dashes, 64 digits, 200 characters",
      run(stage) {
        const clean = stage.settle();
        const ids = ["a", "A.b_c-1", "0123456789abcdef".repeat(4), "x".repeat(200)];
        for (const [index, containerId] of ids.entries()) {
          about(`container ID "${containerId}"`, () => wholeLife(stage, { containerId, hostPort: 8080 + index }));
        }
        // "a" stands in many a file.
        stage.wantNothingLeft(
          clean,
          ids.slice(1).map((containerId) => ({ containerId })),
        );
      },
    },
    {
      number: 17,
      title: "interface names of 16 characters are refused with 4",
      run: (stage) => refuseEach(stage, "CNI_IFNAME", ["abcdefghijklmnop"]),
    },
    {
      number: 18,
      title: "interface names that no interface can have are refused with 4",
      run: (stage) => refuseEach(stage, "CNI_IFNAME", badInterfaceNames),
    },
    {
      number: 19,
      title: "interface names of 15 characters work",
      run(stage) {
        const clean = stage.settle();
        const ifname = "abcdefghijklmno";
        const pod = wholeLife(stage, { ifname, hostPort: 8080 }, (pod) =>
          want(stage.node.sh("ip -br link", { in: pod }).includes(`${ifname}@`), `a link "${ifname}"`, "none"),
        );
        stage.wantNothingLeft(clean, [pod]);
      },
    },
    refusesStdin(20, "an empty stdin is refused with 6", [6], ""),
    refusesStdin(21, "JSON that breaks off is refused with 6", [6], '{"name"'),
    refusesStdin(22, "JSON that is no object is refused", [6, 7], "[]", '"x"', "1"),
    refusesStdin(
      23,
      "a configuration without a name is refused with 7",
      [7],
      '{"cniVersion":"1.0.0"}',
      '{"cniVersion":"1.0.0","name":""}',
      "null",
    ),
    {
      number: 24,
      title: "network names of other characters are refused with 7, and nothing is done",
      run: (stage) =>
        unchanged(stage, () =>
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
      title: "unknown keys, and those of the runtime, are ignored",
      run: (stage) =>
        addsWith(stage, { zzz: { a: 1 }, capabilities: { zzz: true, mac: true }, "cni.dev/x": 1, "cni.dev/y": null }),
    },
    {
      number: 27,
      title: "an optional key that is null is absent",
      run: (stage) => addsWith(stage, { dns: null, args: null, runtimeConfig: null }, { prevResult: null }),
    },
    {
      number: 28,
      title: "keys match whatever their case, as containerd needs it",
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
      title: "white space, UTF-8 and a configuration of 1 MiB are taken",
      run: (stage) =>
        stage.everyPart((part) => {
          const request = { ...stage.requestFor(part), zzz: "ä€😀".repeat(1), padding: "x".repeat(1 << 20) };
          const stdin = `\n\t ${JSON.stringify(request, undefined, 4)} \n\n`;
          const pod = { ...stage.newPod(), ifname: part.ifname };
          resultOf(stage.ask(part, { pod, stdin }));
          silent(stage.ask(part, { command: "DEL", pod, stdin }));
        }),
    },
    {
      number: 30,
      title: "an error is one JSON object on stdout, with exit status 1 and no stack trace",
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
      title: "an error carries the cniVersion of the request",
      run: (stage) =>
        stage.everyPart((part) => {
          const version = newest(part.versions);
          const { cniVersion } = refused(stage.ask(part, { request: { cniVersion: version }, command: "FOO" }));
          want(cniVersion === version, `cniVersion ${version} in the error`, cniVersion ?? "none");
        }),
    },
    {
      number: 32,
      title: "a stderr that is closed or full does not change a result",
      run(stage) {
        for (const redirection of ["2>&-", "2>/dev/full"]) {
          about(redirection, () => {
            const under = ["sh", "-c", `exec "$0" ${redirection}`];
            const part = stage.main();
            const pod = stage.newPod();
            resultOf(stage.ask(part, { pod, under }));
            refused(stage.ask(part, { pod, under, stdin: "{" }), { code: 6 });
            silent(stage.ask(part, { command: "DEL", pod, under }));
          });
        }
      },
    },
    {
      number: 33,
      title: "a result that cannot be written is an error, and what was done is undone by DEL at the latest",
      run(stage) {
        const list = onlyMain(stage.list);
        const clean = stage.settle(list);
        for (const redirection of [">&-", ">/dev/full"]) {
          about(redirection, () => {
            const part = stage.main();
            const pod = stage.newPod();
            const answer = stage.ask(part, { pod, under: ["sh", "-c", `exec "$0" ${redirection}`] });
            want(answer.status !== 0, "a failure", `status ${answer.status}`);
            silent(stage.ask(part, { command: "DEL", pod }));
            stage.wantNothingLeft(clean, [pod]);
          });
        }
      },
    },
    {
      number: 34,
      title: "descriptors of the runtime reach no other program, and none stays open",
      run(stage) {
        place(stage.node, { type: "witness", answer: JSON.stringify(ipamAnswer(stage.list)) });
        const list = withIpam(stage.list, { type: "witness" });
        const main = stage.main(list);
        // The reader ends when the last copy of the pipe's other end is closed; the shell has none any more.
        const script = `d=$(mktemp -d) && mkfifo $d/p && { timeout 20 cat $d/p & "$0" 9>$d/p; done=$?; wait $! && exit $done; }`;
        const answer = stage.ask(main, { pod: stage.newPod(), under: ["bash", "--norc", "-c", script] });
        want(answer.status !== 124, "a pipe that ends with the plugin", "a process that holds it open");
        accepted(answer);
        const descriptors = callsOf(stage.node, "witness").flatMap((call) => call.descriptors);
        want(!descriptors.includes(9), "a delegate without descriptor 9 of the runtime's", descriptors);
      },
    },
    {
      number: 35,
      title: "no process stays behind",
      run(stage) {
        const before = processes(stage.node);
        const pod = stage.newPod({ capabilities: attached(8080) });
        stage.add(pod);
        wantProcesses(stage.node, before);
        stage.del(pod);
        wantProcesses(stage.node, before);
      },
    },
    {
      number: 36,
      title: "after SIGTERM in the middle of ADD, DEL leaves nothing",
      run(stage) {
        const list = onlyMain(stage.list);
        const clean = stage.settle(list);
        const part = stage.main();
        const pods = Array.from({ length: 12 }, (_, step) => {
          const pod = stage.newPod();
          stage.ask(part, { pod, under: ["timeout", "--signal=TERM", `${0.0005 + step * 0.001}`] });
          silent(stage.ask(part, { command: "DEL", pod }));
          return pod;
        });
        stage.wantNothingLeft(clean, pods);
      },
    },
  ],
};

/** Names of all processes of the node but the one that asks. */
function processes(node: Node): string {
  return node.sh("for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || cat $p/comm 2>/dev/null || true; done").trim();
}

/** An orphan that has ended is there until the node's first process has asked for it. */
function wantProcesses(node: Node, wanted: string): void {
  let now = processes(node);
  for (let turn = 0; turn < 50 && now !== wanted; turn++) {
    node.sh("sleep 0.02");
    now = processes(node);
  }
  want(now === wanted, `the processes ${wanted}`, now);
}

/** An environment without the rest of what a runtime sets. */
function only(env: Readonly<Record<string, string>>): Readonly<Record<string, string | undefined>> {
  const unset = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"].map((name) => [name, undefined]);
  return { ...Object.fromEntries(unset), ...env };
}

function judgeVersions(answer: Answer, wanted = ["0.4.0", "1.0.0", "1.1.0"]): void {
  const { cniVersion, supportedVersions } = resultOf(answer);
  want(typeof cniVersion === "string", "cniVersion", answer.stdout);
  const versions = Array.isArray(supportedVersions) ? supportedVersions : [];
  want(
    wanted.every((version) => versions.includes(version)),
    `supportedVersions with ${wanted.join(", ")}`,
    answer.stdout,
  );
}

function missing(number: number, name: string, commands: readonly string[]) {
  return {
    number,
    title: `${name} that is missing is refused with 4, by name`,
    run: (stage: Stage) =>
      stage.everyPart((part) => {
        for (const command of commands) {
          refused(stage.ask(part, { command, env: { [name]: undefined } }), { code: 4, says: [name] });
        }
      }),
  };
}

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

function refuseEach(stage: Stage, variable: string, values: readonly string[]): void {
  unchanged(stage, () =>
    stage.everyPart((part) => {
      for (const command of ["ADD", "DEL", "CHECK"]) {
        for (const value of values) {
          about(JSON.stringify(value), () =>
            refused(stage.ask(part, { command, env: { [variable]: value } }), { code: 4 }),
          );
        }
      }
    }),
  );
}

function unchanged(stage: Stage, action: () => unknown): void {
  // The first question makes the sandbox that it is asked about.
  stage.ask(stage.main(), { command: "VERSION" });
  const before = stage.look();
  action();
  stage.wantUnchanged(before);
}

/** Attaches one container, with host port and limits, and detaches it. */
function wholeLife(
  stage: Stage,
  { hostPort, ...more }: { containerId?: string; ifname?: string; hostPort: number },
  meanwhile: (pod: string) => void = () => {},
) {
  const pod = stage.newPod({ ...more, capabilities: attached(hostPort) });
  stage.add(pod);
  meanwhile(pod.pod);
  stage.del(pod);
  return pod;
}

/** ADD and DEL of every plugin with these keys; `first`: of those alone that begin a chain. */
function addsWith(stage: Stage, request: JsonObject, first: JsonObject = {}): void {
  stage.everyPart((part) => {
    const keys = part.chained ? request : { ...request, ...first };
    const pod = { ...stage.newPod(), ifname: part.ifname };
    const version = newest(part.versions);
    const { cniVersion } = resultOf(stage.ask(part, { pod, request: keys }));
    want(cniVersion === version, `a result in version ${version}`, cniVersion);
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

/** Wrong in one way each. */
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
