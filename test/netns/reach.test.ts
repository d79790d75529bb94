/** `tortie doctor` on pods that are cut off by something other than their attachment: it finds each case, names the cause, and repairs it. */
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { someOf } from "../lib/how-many.ts";
import { type CutOff, cutOffs } from "../lib/node/cut-offs.ts";
import { type DoctorFinding, doctor } from "../lib/node/doctor.ts";
import { Node, outsideAddress4, outsideAddress6 } from "../lib/node/netns.ts";
import { serve } from "../lib/node/traffic.ts";
import { Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, pluginDirs, requireBuild, root } from "../lib/suite.ts";

const conflist = example("10-calico-dual-stack.conflist");
const list = loadConflist(conflist);
const port = 5555;
let node: Node;
let runner: Runner;
let sandboxes: readonly Sandbox[];
/** The variables of the rows' scripts, for the first pod. */
let variables: string;

beforeAll(requireBuild);

/** One node for all rows, until one of them fails. */
let isWhole = false;
/** Whether the state has changed since the last check. */
let isTidied = false;

beforeEach(async () => {
  if (isWhole) return;
  await node?.stop();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
  sandboxes = ["a", "b"].map((name) => ({
    containerId: `${name}-0a1b2c`,
    netns: node.addPod(name),
    ifname: "eth0",
    args: [
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", name],
    ],
  }));
  const results = sandboxes.map((sandbox) => runner.add(list, sandbox));
  const { interfaces = [], ips = [] } = results[0] ?? {};
  const [v4, v6] = ips.map(({ address }) => address.replace(/\/\d+$/, ""));
  variables = `IF=${interfaces[0]?.name} A4=${v4} A6=${v6}; `;
  serve(node, "outside", port);
  isWhole = true;
});

afterAll(async () => {
  await node?.stop();
});

const targets = { 4: outsideAddress4, 6: outsideAddress6 } as const;

/** The families in which the first pod gets no answer from outside. */
function deadFamilies(): readonly number[] {
  return ([4, 6] as const).filter((family) => {
    const client = `exec 3<>/dev/tcp/${targets[family]}/${port}`;
    return node.run(["timeout", "1", "bash", "--norc", "-c", client], { in: "a" }).status !== 0;
  });
}

function say({ id, subject, text }: DoctorFinding): string {
  return `${id}: ${subject} ${text}`;
}

const look = (options = {}) => doctor(node, { conflist, ...options });

afterEach(async ({ task }) => {
  // Let the test runner communicate: the test waits for programs all the time.
  await setImmediate();
  isWhole = false;
  if (task.result?.state === "fail") return;
  if (isTidied) expect(look()).toEqual({ exitCode: 0, findings: [], remarks: [], notes: [] });
  if (isTidied) expect(deadFamilies()).toEqual([]);
  for (const sandbox of sandboxes) runner.check(list, sandbox);
  isWhole = true;
});

describe("a pod is cut off by", () => {
  // Each takes some seconds, because it runs the doctor four times: every third one, unless asked for all.
  test.each(someOf(cutOffs, Math.ceil(cutOffs.length / 3)).map((row) => [row.name, row] as const))("%s", (_, row) => {
    node.sh(variables + row.script);
    try {
      expect(deadFamilies()).toEqual(row.dead ?? [4, 6]);
      const finding = expectFound(row);
      repair(row, finding);
    } finally {
      isTidied = row.undo !== undefined;
      if (row.undo !== undefined) node.run(["sh", "-c", `(${variables + row.undo}) 2>/dev/null; true`]);
    }
  });
});

function expectFound(row: CutOff): DoctorFinding {
  const { beside = [], needsProbe } = row;
  const [id, words] = row.finds;
  const severity: string = row.severity ?? "error";
  const { findings, exitCode } = look();
  const [found] = findings.filter((one) => one.id === id);
  expect(found === undefined ? findings.map(say).join("\n") : `${found.subject} ${found.text}`).toMatch(words);
  if (found === undefined) throw new Error("it is not found");
  expect(found.severity).toBe(severity);
  expect(new Set(findings.map((one) => one.id))).toEqual(new Set([id, ...beside]));
  expect(exitCode).toBe(severity === "error" ? 3 : 0);
  if (needsProbe === undefined)
    expect(look({ probe: false }).findings.map(say)).toContain(say(found).replace("; a probe packet was lost", ""));
  return found;
}

/** Afterwards there is no finding, even before the leftovers of the repair are removed. */
function repair({ repair: how, finds: [id] }: CutOff, finding: DoctorFinding): void {
  expect(finding.fixable, "--fix repairs what is ours, and that alone").toBe(how === "fix");
  if (how === "fix") {
    const { exitCode, findings } = look({ fix: true });
    expect({ exitCode, findings }).toEqual({ exitCode: 0, findings: [] });
  } else {
    node.sh(variables + (how === "remedy" ? finding.remedy : how.as));
    expect(look().findings.map(say), `after the repair of ${id}`).toEqual([]);
  }
  expect(deadFamilies()).toEqual([]);
}

describe("a node without nft and iptables", () => {
  const programs = ["ip", "tc", "sh", "find", "unshare", "nsenter", "flock", "mount"];

  /** The doctor's output if these are the only programs. */
  function lookWithout(): string {
    node.sh(`mkdir -p /run/few; for name in ${programs.join(" ")}; do ln -sf $(command -v $name) /run/few/$name; done`);
    const program = join(root, "dist/tortie.js");
    const argv = [
      process.execPath,
      program,
      "doctor",
      "--grace",
      "0",
      "--conf-dir",
      "/run/few",
      "--bin-dir",
      "/run/few",
    ];
    return node.run(argv, { env: { PATH: "/run/few" } }).stdout;
  }

  test("what cannot be read is said, and what a probe packet loses is found all the same", async () => {
    expect(lookWithout()).toMatch(
      /^Checking the paths of packets\.\.\.\n[\s\S]*not checked: rules of nf_tables: the program "nft" is not installed/m,
    );
    expect(lookWithout()).not.toMatch(/FAIL {5}probe packet/);
    node.sh("iptables -P FORWARD DROP");
    expect(lookWithout()).toMatch(/FAIL {5}probe packet of a pod did not leave the node/);
    node.sh("iptables -P FORWARD ACCEPT");
    isTidied = true;
    await setImmediate();
  });
});
