/** A real client: cnitool of the CNI project, installed and called with the commands of README.md. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { install } from "../lib/node/install.ts";
import { leaks } from "../lib/node/kept.ts";
import { type Completed, Node, nodeAddress4, outsideAddress4 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { ask, ping, serve } from "../lib/node/traffic.ts";
import { goTool, goToolIsMissing } from "../lib/runtimes/go-tools.ts";
import { addressOf } from "../lib/runtimes/runner.ts";
import { requireBuild } from "../lib/suite.ts";

const missing = goToolIsMissing("cnitool");
const network = "k8s-pod-network";
let node: Node;
let program: string;
let clean: string;
let pods = 0;

beforeAll(async () => {
  if (missing !== undefined) return;
  requireBuild();
  program = await goTool("cnitool");
  node = await Node.start();
  install(node);
}, 600_000);

afterAll(async () => {
  await node?.stop();
});

beforeEach((context) => {
  context.skip(missing !== undefined, missing);
  clean = snapshot(node);
});

/** One defect must not make the next test fail. */
afterEach(() => {
  for (let pod = 1; pod <= pods; pod++) cnitool("del", `/run/netns/pod${pod}`);
});

function newPod(): { readonly name: string; readonly netns: string } {
  const name = `pod${++pods}`;
  return { name, netns: node.addPod(name) };
}

function cnitool(command: string, netns: string, capabilities: object = {}): Completed {
  const env = {
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    CNI_PATH: "/opt/cni/bin",
    NETCONFPATH: "/etc/cni/net.d",
    CAP_ARGS: JSON.stringify(capabilities),
  };
  return node.run([program, command, network, netns], { env });
}

/** Runs cnitool, which must succeed; returns its output. */
function must(command: string, netns: string, capabilities: object = {}): string {
  const { status, stdout, stderr } = cnitool(command, netns, capabilities);
  if (status !== 0) throw new Error(`cannot run cnitool ${command}: ${stdout}${stderr}`);
  return stdout;
}

function expectNothingLeft(since = clean): void {
  const left = leaks(diff(since, snapshot(node)));
  expect(left.filter((line) => !/^[-+] file \/var\/lib\/cni\/(results\/)?$/.test(line))).toEqual([]);
}

const requests = {
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
  bandwidth: { ingressRate: 50e6, ingressBurst: 4e6, egressRate: 50e6, egressBurst: 4e6 },
};

test("cnitool add, check and del of a pod with a host port and limits succeed and leave nothing", () => {
  const { name, netns } = newPod();
  const address = addressOf(JSON.parse(must("add", netns, requests)));
  must("check", netns, requests);
  serve(node, name, 80);
  expect(ping(node, name, outsideAddress4)).toBe(true);
  expect(ask(node, undefined, address, 80)).toContain(`${name} sees`);
  expect(ask(node, "outside", nodeAddress4, 8080)).toBe(`${name} sees ${outsideAddress4}`);
  must("del", netns, requests);
  must("del", netns, requests);
  expectNothingLeft();
});

test("cnitool del without the cached result and the capabilities leaves nothing", () => {
  const { netns } = newPod();
  must("add", netns, requests);
  node.sh("rm -r /var/lib/cni/results");
  must("del", netns);
  expectNothingLeft();
});

test("cnitool check names the missing objects", () => {
  const { name, netns } = newPod();
  must("add", netns, requests);
  node.sh("ip route del default", { in: name });
  const { status, stderr, stdout } = cnitool("check", netns, requests);
  expect(status).not.toBe(0);
  expect(stdout + stderr).toContain("route 0.0.0.0/0 via 169.254.1.1 dev eth0 is missing");
  must("del", netns, requests);
  expectNothingLeft();
});

test("cnitool status succeeds, and gc accepts cnitool's valid attachments", () => {
  const { netns } = newPod();
  must("status", "");
  must("add", netns, requests);
  must("gc", "");
  expectNothingLeft();
});
