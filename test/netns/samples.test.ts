/** The samples of the documents: a node in the state that the document describes prints them word for word. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { install } from "../lib/node/install.ts";
import { Node } from "../lib/node/netns.ts";
import { Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, ourPluginDir, requireBuild, root } from "../lib/suite.ts";

const list = loadConflist(example("10-calico.conflist"));
let node: Node;

beforeAll(requireBuild);

beforeEach(async () => {
  node = await Node.start();
});

afterEach(async () => {
  await node?.stop();
});

/** What a document shows of a command: the parts between lines `…`, which stand for lines that it leaves out. */
function sampleOf(document: string, command: string): readonly string[] {
  const text = readFileSync(join(root, document), "utf8");
  const [, after] = text.split(`\n$ tortie ${command}\n`);
  if (after === undefined) throw new Error(`${document} has no sample of tortie ${command}`);
  const [shown = ""] = after.split(/^(?:\$ .*|```)$/m);
  return comparable(shown.trimEnd())
    .split(/^…\n?/m)
    .map((part) => part.trim());
}

/** Without what each build and each kernel has of its own, and without the spaces at the ends of lines. */
function comparable(text: string): string {
  return text
    .replace(/Linux [^;]+;/, "Linux;")
    .replace(/commit [0-9a-f]{12}(-dirty)?/g, "commit")
    .replace(/ +$/gm, "");
}

/** Runs the command once. */
function expectSample(documents: string | readonly string[], command: string, options = ""): void {
  const argv = `${process.execPath} ${join(root, "dist/tortie.js")} ${command} ${options}`;
  const { stdout, stderr } = node.run(["/bin/sh", "-c", `cd /run; ${argv}`]);
  for (const document of [documents].flat()) {
    let rest = comparable(stdout + stderr);
    for (const part of sampleOf(document, command)) {
      expect(rest).toContain(part);
      rest = rest.slice(rest.indexOf(part) + part.length);
    }
  }
}

function put(pool: string, cidr: string): void {
  const object = { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: pool }, spec: { cidr } };
  node.sh("mkdir -p -m 700 /var/lib/tortie/ippools; cat >/var/lib/tortie/ippools/pool.json", {
    stdin: JSON.stringify({ ...object, spec: { cidr, natOutgoing: true } }),
  });
  node.sh(`mv /var/lib/tortie/ippools/pool.json /var/lib/tortie/ippools/${pool}.json`);
}

function sandbox(name: string, containerId: string, capabilities = {}): Sandbox {
  const args = [
    ["IgnoreUnknown", "1"],
    ["K8S_POD_NAMESPACE", "default"],
    ["K8S_POD_NAME", name],
  ] as const;
  return { containerId, netns: node.addPod(name), ifname: "eth0", args, capabilities };
}

/** The kernel removes the interfaces of a deleted namespace a moment later. */
function lose(...names: readonly string[]): void {
  for (const name of names) node.removePod(name);
  node.sh("sleep 1");
}

test("docs/cli.md, README.md: a doctor finds and repairs four pods that were damaged, each in another way", () => {
  install(node);
  put("pods", "10.65.0.0/16");
  const runner = new Runner({ node, pluginDirs: ["/opt/cni/bin"] });
  const [first = ""] = [1, 2, 3, 4].map((n) => {
    const portMappings = [{ hostPort: 8080 + n, containerPort: 80, protocol: "tcp" }];
    const bandwidth = { egressRate: 1_000_000, egressBurst: 1_000_000 };
    return runner.add(list, sandbox(`web-${n}`, `web-${n}-0a1b2c`, { portMappings, bandwidth })).interfaces?.[0]?.name;
  });
  node.sh(
    `sysctl -qw net.ipv4.ip_forward=0; ip link set ${first} down; rm /run/tortie/endpoints/*web-2*; nft flush map ip tortie_portmap ports`,
  );
  lose("web-3");
  expectSample("docs/cli.md", "doctor", "--grace 0");
  expectSample("docs/cli.md", "doctor --fix --only host-ports-different", "--grace 0");
  expectSample(["docs/cli.md", "README.md"], "doctor --fix", "--grace 0");
});

test("docs/cli.md: the way of a packet between two pods", () => {
  const runner = new Runner({ node, pluginDirs: [ourPluginDir] });
  for (const name of ["web-0", "web-1"]) runner.add(list, sandbox(name, `${name}-0a1b2c`));
  expectSample("docs/cli.md", "trace default/web-0 default/web-1");
});

test("docs/cli.md: addresses of 70 pods, two of which are lost", () => {
  const runner = new Runner({ node, pluginDirs: [ourPluginDir] });
  for (let n = 0; n < 70; n++) runner.add(list, sandbox(`web-${n}`, `web-${n}-0a1b2c3d`));
  expectSample("docs/cli.md", "ipam show --map");
  expectSample("docs/cli.md", "get ippool -o wide");
  expectSample("docs/cli.md", "get blockaffinity");
  expectSample("docs/cli.md", "get wep");
  lose("web-3", "web-7");
  expectSample("docs/cli.md", "ipam check -o report.json");
  expectSample("docs/cli.md", "ipam release --from-report report.json --dry-run");
  expectSample("docs/cli.md", "ipam release --from-report report.json");
  expectSample("docs/cli.md", "ipam release --ip 192.168.61.201");
});

test("docs/ipam.md: what is left of pods of another main plugin, and a handle that was emptied", () => {
  put("pods", "10.7.0.0/24");
  const request = { cniVersion: "1.0.0", name: "k8s-pod-network", type: "bridge", ipam: { type: "calico-ipam" } };
  const runner = new Runner({ node, pluginDirs: [ourPluginDir] });
  for (const n of [0, 1, 2, 3]) runner.exec("ADD", "calico-ipam", request, sandbox(`web-${n}`, `3f2a${n}`));
  expectSample("docs/ipam.md", "ipam show --show-blocks");
  node.sh(
    "truncate -s 0 /run/tortie/ipam/handles/*3f2a1.json; ip link add t0 type veth peer name eth0 netns web-0; " +
      "for a in 10.7.0.192 10.7.0.64; do ip -n web-0 address add $a/32 dev eth0; done; ip -n web-0 link set eth0 up",
  );
  lose("web-1", "web-2", "web-3");
  expectSample("docs/ipam.md", "ipam check -o report.json");
  expectSample("docs/ipam.md", "ipam release --from-report report.json");
});
