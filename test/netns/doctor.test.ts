/**
 * `tortie doctor`, as it is built, on a private node: every kind of wreck by hand, what it says of it, how it mends it, and that the pod beside
 * it notices nothing.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { doctor } from "../lib/doctor.ts";
import { Node } from "../lib/netns.ts";
import { Runner, type Sandbox } from "../lib/runner.ts";
import { diff, snapshot } from "../lib/snapshot.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";

const list = loadConflist(example("10-calico.conflist"));
let node: Node;
let runner: Runner;
let pods = 0;

beforeAll(async () => {
  requireBuild();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
});

afterAll(async () => {
  await node?.stop();
});

interface Pod extends Sandbox {
  readonly name: string;
  readonly hostInterface: string;
  readonly ifb: string;
  readonly address: string;
  readonly record: string;
}

function addPod(): Pod {
  const name = `p${pods++}`;
  const sandbox: Sandbox = {
    containerId: `${name}-0a1b2c`,
    netns: node.addPod(name),
    ifname: "eth0",
    args: [
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", name],
    ],
    capabilities: {
      portMappings: [{ hostPort: 8000 + pods, containerPort: 80, protocol: "tcp" }],
      bandwidth: { egressRate: 1_000_000, egressBurst: 1_000_000 },
    },
  };
  const { interfaces = [], ips } = runner.add(list, sandbox);
  return {
    ...sandbox,
    name,
    hostInterface: interfaces[0]?.name ?? "",
    ifb: interfaces[2]?.name ?? "",
    address: String(ips?.[0]?.address).replace(/\/.*/, ""),
    record: `/run/tortie/endpoints/k8s-pod-network:${name}-0a1b2c:eth0.json`,
  };
}

let neighbour: Pod;
let neighbourBefore: string;

/** What there is of the neighbour, on the node and in its sandbox. */
function stateOfNeighbour(): string {
  const own = snapshot(node)
    .split("\n")
    .filter((line) =>
      [neighbour.hostInterface, neighbour.ifb, neighbour.containerId].some((word) => line.includes(word)),
    );
  return [...own, snapshot(node, { in: neighbour.name })].join("\n");
}

beforeEach(() => {
  neighbour ??= addPod();
  neighbourBefore = stateOfNeighbour();
});

/** It is found, it alone, and mended; nothing is left, and the neighbour is as it was. */
function expectMended(id: string, text: RegExp): void {
  const { exitCode, findings } = doctor(node);
  expect(findings.map((finding) => finding.id)).toEqual([id]);
  expect(`${findings[0]?.subject} ${findings[0]?.text}`).toMatch(text);
  expect(exitCode).toBe(3);
  const mended = doctor(node, { fix: true });
  expect(mended).toMatchObject({ exitCode: 0, findings: [] });
  runner.check(list, neighbour);
  expect(diff(neighbourBefore, stateOfNeighbour())).toBe("");
}

describe("tortie doctor", () => {
  test("finds nothing on a node whose pods are well, and changes nothing there", () => {
    const before = snapshot(node);
    expect(doctor(node)).toEqual({ exitCode: 0, findings: [], notes: [] });
    expect(diff(before, snapshot(node))).toBe("");
  });

  test("attachment-left: a sandbox went away without a DEL", () => {
    const pod = addPod();
    node.removePod(pod.name);
    expectMended(
      "attachment-left",
      new RegExp(`has left its record, address ${pod.address}, host port \\d+/tcp and ifb ${pod.ifb}, and its sandbox`),
    );
  });

  test("record-missing: the record was removed under a pod that lives, which then is served as before", () => {
    const pod = addPod();
    const record = node.sh(`cat ${pod.record}`);
    node.sh(`rm ${pod.record}`);
    expectMended("record-missing", /and no record/);
    const comparable = (text: string) => ({
      ...JSON.parse(text),
      metadata: { ...JSON.parse(text).metadata, creationTimestamp: "" },
    });
    expect(comparable(node.sh(`cat ${pod.record}`))).toEqual(comparable(record));
    runner.check(list, pod);
    runner.del(list, pod);
    node.removePod(pod.name);
  });

  test("attachment-different: a route is gone", () => {
    const pod = addPod();
    node.sh(`ip route delete ${pod.address}/32`);
    expectMended("attachment-different", /route .* is missing/);
    runner.check(list, pod);
    runner.del(list, pod);
    node.removePod(pod.name);
  });

  test("temporary-file-left: a write was killed", () => {
    node.sh("install -m 600 /dev/null /run/tortie/endpoints/.tmp-0011223344556677");
    expectMended("temporary-file-left", /killed in the middle of a write/);
  });

  test("mode-wrong: others may read a record", () => {
    node.sh(`chmod 644 ${neighbour.record}`);
    expectMended("mode-wrong", /has mode 0644, wanted 0600/);
  });

  test("forwarding-off: somebody turned it off", () => {
    node.sh("sysctl -qw net.ipv4.ip_forward=0");
    expectMended("forwarding-off", /is 0/);
  });
});
