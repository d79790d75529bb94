/** A real client of containerd's CRI: crictl, which uses the complete interface, while `test/lib/runtimes/cri.proto` has only the part that we use. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { cgroupParent, removeOwnCgroups } from "../lib/node/cgroups.ts";
import { install } from "../lib/node/install.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node, nodeAddress4, outsideAddress4 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { answers, ask, ping, waitForPort } from "../lib/node/traffic.ts";
import { Containerd, containerdIsMissing, containerdsOwn } from "../lib/runtimes/containerd.ts";
import { goTool, goToolIsMissing } from "../lib/runtimes/go-tools.ts";
import { images, serveCommand } from "../lib/runtimes/image.ts";
import { requireBuild } from "../lib/suite.ts";

const missing = containerdIsMissing ?? goToolIsMissing("crictl");
const directory = "/run/.node/crictl";
let node: Node;
let containerd: Containerd;
let program: string;

beforeAll(async () => {
  if (missing !== undefined) return;
  requireBuild();
  program = await goTool("crictl");
  node = await Node.start();
  install(node);
  containerd = await Containerd.start(node);
}, 600_000);

afterAll(async () => {
  containerd?.close();
  await node?.stop();
  removeOwnCgroups();
});

beforeEach((context) => {
  context.skip(missing !== undefined, missing);
});

/** Runs crictl, which must succeed; returns its output. */
function crictl(...argv: readonly string[]): string {
  const endpoint = `unix://${containerd.socket}`;
  const at = [program, "--runtime-endpoint", endpoint, "--image-endpoint", endpoint, "--config", `${directory}/none`];
  const { status, stdout, stderr } = node.run([...at, ...argv]);
  if (status !== 0) throw new Error(`cannot run crictl ${argv.join(" ")}: ${stderr.trim()}\n${containerd.log()}`);
  return stdout.trim();
}

/** Writes an object to a file for crictl; returns the path. */
function file(name: string, content: object): string {
  node.sh(`mkdir -p ${directory}; echo '{}' > ${directory}/none; cat > ${directory}/${name}`, {
    stdin: JSON.stringify(content),
  });
  return `${directory}/${name}`;
}

test("crictl runs, inspects, stops and removes a pod with a host port and a container", () => {
  const pod = file("pod.json", {
    metadata: { name: "web", namespace: "default", uid: "web-uid", attempt: 0 },
    hostname: "web",
    port_mappings: [{ protocol: 0, container_port: 80, host_port: 8080 }],
    annotations: { "kubernetes.io/ingress-bandwidth": "20M", "kubernetes.io/egress-bandwidth": "20M" },
    linux: { cgroup_parent: cgroupParent },
  });
  const box = file("box.json", { metadata: { name: "box" }, image: { image: images.box }, command: serveCommand });
  const clean = snapshot(node);
  const conditions = JSON.parse(crictl("info")).status.conditions as readonly { type: string; status: boolean }[];
  expect(conditions).toContainEqual(expect.objectContaining({ type: "NetworkReady", status: true }));

  const id = crictl("runp", pod);
  crictl("start", crictl("create", id, box, pod));
  const { status, info } = JSON.parse(crictl("inspectp", id));
  const namespaces = info.runtimeSpec.linux.namespaces as readonly { type: string; path?: string }[];
  const netns = (namespaces.find(({ type }) => type === "network")?.path ?? "").replace(/.*\//, "");
  expect(status).toMatchObject({ state: "SANDBOX_READY", network: { ip: expect.stringMatching(/^192\.168\./) } });
  waitForPort(node, netns, 80);
  expect(ask(node, "outside", nodeAddress4, 8080)).toBe(`web sees ${outsideAddress4}`);
  expect(ping(node, undefined, status.network.ip)).toBe(true);
  expect(node.sh("tc qdisc show").match(/qdisc tbf .* rate 20Mbit/g)).toHaveLength(2);

  crictl("stopp", id);
  expect(answers(node, "outside", nodeAddress4, 8080)).toBe(false);
  crictl("rmp", id);
  expect(crictl("pods", "-q")).toBe("");
  const left = leaks(diff(clean, snapshot(node)));
  expect(left.filter((line) => !containerdsOwn.test(line))).toEqual([]);
});
