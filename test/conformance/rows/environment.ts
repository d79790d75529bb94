/** How any plugin handles its environment. Each row tests every plugin of the chain. */
import { attached } from "../chains.ts";
import { refused, resultOf } from "../judge.ts";
import { newest } from "../results.ts";
import { about, type Section, want } from "../row.ts";
import type { Answer, Pod, Stage } from "../stage.ts";

const badContainerIds = ["../x", "-a", "a/b", "a b", "_a"];
const badInterfaceNames = [".", "..", "a/b", "a:b", "a b", "a\tb"];

export const environment: Section = {
  title: "Protocol: the environment",
  rows: [
    {
      number: 1,
      title: "without CNI_COMMAND the plugin prints its name and versions, or fails with code 4",
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
      title: "an unknown command is an error that names it",
      run: (stage) =>
        stage.everyPart((part) => void refused(stage.ask(part, { command: "FOO" }), { code: 4, says: ["FOO"] })),
    },
    {
      number: 3,
      title: "commands are case-sensitive",
      run: (stage) => stage.everyPart((part) => void refused(stage.ask(part, { command: "add" }), { code: 4 })),
    },
    {
      number: 4,
      title: "VERSION lists versions including 0.4.0, 1.0.0 and 1.1.0, and needs only CNI_COMMAND",
      run: (stage) =>
        stage.everyPart((part) => {
          const env = only({ CNI_COMMAND: "VERSION" });
          checkVersions(stage.ask(part, { command: "VERSION", env, stdin: '{"cniVersion":"1.1.0"}' }));
        }),
    },
    {
      number: 5,
      title: "VERSION needs no stdin",
      run: (stage) =>
        stage.everyPart((part) => checkVersions(stage.ask(part, { command: "VERSION", stdin: "" }), ["0.4.0"])),
    },
    {
      number: 6,
      title: "VERSION ignores garbage on stdin",
      run: (stage) =>
        stage.everyPart((part) => checkVersions(stage.ask(part, { command: "VERSION", stdin: "xx" }), ["0.4.0"])),
    },
    {
      number: 7,
      title: "VERSION does not wait for the end of stdin",
      run: (stage) =>
        stage.everyPart((part) => {
          // The shell keeps the pipe open for writing; `timeout` would exit with 124.
          const held = 'd=$(mktemp -d) && mkfifo $d/p && exec 5<>$d/p && exec timeout 20 "$0" <$d/p 5>&-';
          checkVersions(stage.ask(part, { command: "VERSION", under: ["bash", "--norc", "-c", held] }), ["0.4.0"]);
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
      title: "VERSION accepts what libcni sends with it",
      run: (stage) =>
        stage.everyPart((part) => {
          const env = { CNI_CONTAINERID: "", CNI_NETNS: "dummy", CNI_IFNAME: "dummy", CNI_PATH: "dummy" };
          checkVersions(stage.ask(part, { command: "VERSION", env }), ["0.4.0"]);
        }),
    },
    missing(10, "CNI_CONTAINERID", ["ADD", "DEL", "CHECK"]),
    missing(11, "CNI_NETNS", ["ADD", "CHECK"]),
    missing(12, "CNI_IFNAME", ["ADD", "DEL", "CHECK"]),
    {
      number: 13,
      title: "one error names all missing variables",
      run: (stage) =>
        stage.everyPart((part) => {
          const says = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"];
          const env = Object.fromEntries(says.map((name) => [name, undefined]));
          refused(stage.ask(part, { env }), { code: 4, says });
        }),
    },
    {
      number: 14,
      title: "a variable that is set but empty counts as missing",
      run: (stage) =>
        stage.everyPart((part) => {
          for (const name of ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]) {
            refused(stage.ask(part, { env: { [name]: "" } }), { code: 4, says: [name] });
          }
        }),
    },
    {
      number: 15,
      title: "container IDs with invalid characters are rejected with code 4, and nothing changes",
      run: (stage) => refuseEach(stage, "CNI_CONTAINERID", badContainerIds),
    },
    {
      number: 16,
      title: "unusual but valid container IDs work: one letter, dots and dashes, 64 digits, 200 characters",
      run(stage) {
        const clean = stage.settle();
        const ids = ["a", "A.b_c-1", "0123456789abcdef".repeat(4), "x".repeat(200)];
        for (const [index, containerId] of ids.entries()) {
          about(`container ID "${containerId}"`, () => wholeLife(stage, { containerId, hostPort: 8080 + index }));
        }
        // Many files contain "a".
        stage.wantNothingLeft(
          clean,
          ids.slice(1).map((containerId) => ({ containerId })),
        );
      },
    },
    {
      number: 17,
      title: "interface names of 16 characters are rejected with code 4",
      run: (stage) => refuseEach(stage, "CNI_IFNAME", ["abcdefghijklmnop"]),
    },
    {
      number: 18,
      title: "invalid interface names are rejected with code 4",
      run: (stage) => refuseEach(stage, "CNI_IFNAME", badInterfaceNames),
    },
    {
      number: 19,
      title: "interface names of 15 characters work",
      run(stage) {
        const clean = stage.settle();
        const ifname = "abcdefghijklmno";
        const pod = wholeLife(stage, { ifname, hostPort: 8080 });
        stage.wantNothingLeft(clean, [pod]);
      },
    },
  ],
};

/** An environment with only these variables of those that a runtime sets. */
function only(env: Readonly<Record<string, string>>): Readonly<Record<string, string | undefined>> {
  const unset = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"].map((name) => [name, undefined]);
  return { ...Object.fromEntries(unset), ...env };
}

function checkVersions(answer: Answer, wanted = ["0.4.0", "1.0.0", "1.1.0"]): void {
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
    title: `${name} is required: without it, code 4 and an error that names it`,
    run: (stage: Stage) =>
      stage.everyPart((part) => {
        for (const command of commands) {
          refused(stage.ask(part, { command, env: { [name]: undefined } }), { code: 4, says: [name] });
        }
      }),
  };
}

function refuseEach(stage: Stage, variable: string, values: readonly string[]): void {
  stage.wantNoChange(() =>
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

/** Attaches and detaches one container with a host port and limits. */
function wholeLife(
  stage: Stage,
  { hostPort, ...more }: { containerId?: string; ifname?: string; hostPort: number },
): Pod {
  const pod = stage.newPod({ ...more, capabilities: attached(hostPort) });
  stage.add(pod);
  stage.wantAttached(pod);
  stage.del(pod);
  return pod;
}
