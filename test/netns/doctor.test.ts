/**
 * `tortie doctor`, as it is built, on a private node: every kind of wreck by hand, what it says of it, how it mends it, and that
 * the pod beside it notices nothing.
 */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { doctor } from "../lib/doctor.ts";
import { Node } from "../lib/netns.ts";
import { addressOf, Runner, requestOf, type Sandbox } from "../lib/runner.ts";
import { diff, snapshot } from "../lib/snapshot.ts";
import {
  example,
  exampleNames,
  goPluginDir,
  ourPluginDir,
  pluginDirs,
  requireBuild,
  root,
  suite,
} from "../lib/suite.ts";

const list = loadConflist(example("10-calico.conflist"));
let node: Node;
let runner: Runner;
let pods = 0;

beforeAll(requireBuild);

beforeEach(async () => {
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
  pods = 0;
  neighbour = addPod();
  neighbourBefore = stateOfNeighbour();
});

afterEach(async () => {
  await node?.stop();
});

interface Pod extends Sandbox {
  readonly name: string;
  readonly hostInterface: string;
  readonly ifb: string;
  readonly address: string;
  readonly record: string;
}

function newSandbox(): Sandbox & { readonly name: string } {
  const name = `p${pods++}`;
  return {
    name,
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
}

function addPod(): Pod {
  const sandbox = newSandbox();
  const result = runner.add(list, sandbox);
  const { interfaces = [] } = result;
  return {
    ...sandbox,
    hostInterface: interfaces[0]?.name ?? "",
    ifb: interfaces[2]?.name ?? "",
    address: addressOf(result),
    record: `/run/tortie/endpoints/k8s-pod-network:${sandbox.containerId}:eth0.json`,
  };
}

function removePod(pod: Pod): void {
  runner.del(list, pod);
  node.removePod(pod.name);
}

let neighbour: Pod;
let neighbourBefore: string;

/** What there is of the neighbour, on the node and in its sandbox. A record tells when it was written. */
function stateOfNeighbour(): string {
  const own = [neighbour.hostInterface, neighbour.ifb, neighbour.containerId];
  const lines = snapshot(node)
    .split("\n")
    .filter((line) => own.some((word) => line.includes(word)) && !line.startsWith("file "));
  const record = node.sh(`grep -v creationTimestamp ${neighbour.record}`);
  return [...lines, record, snapshot(node, { in: neighbour.name })].join("\n");
}

/** The sandbox goes away behind everybody's back. The kernel takes its time with the interfaces. */
function losePod({ name, hostInterface }: Pick<Pod, "name" | "hostInterface">): void {
  node.removePod(name);
  node.sh(`for turn in $(seq 500); do ip link show dev ${hostInterface} >&2 || exit 0; sleep 0.01; done; exit 1`);
}

function expectNeighbourServed(): void {
  runner.check(list, neighbour);
  expect(diff(neighbourBefore, stateOfNeighbour())).toBe("");
}

/** It is found, it alone, and mended; nothing is left, and the neighbour is as it was. */
function expectMended(id: string, text: RegExp): void {
  const { exitCode, findings } = doctor(node);
  expect(findings.map((finding) => finding.id)).toEqual([id]);
  expect(`${findings[0]?.subject} ${findings[0]?.text}`).toMatch(text);
  expect(exitCode).toBe(3);
  expect(doctor(node, { fix: true })).toMatchObject({ exitCode: 0, findings: [] });
  expectNeighbourServed();
}

describe("tortie doctor", () => {
  test("finds nothing on a node whose pods are well, and changes nothing there", () => {
    const before = snapshot(node);
    expect(doctor(node)).toEqual({ exitCode: 0, findings: [], notes: [] });
    expect(diff(before, snapshot(node))).toBe("");
  });

  test("tells in text what it looked at, what is wrong, and what --fix --dry-run would do, and does nothing", () => {
    const pod = addPod();
    losePod(pod);
    const before = snapshot(node);
    const confDir = mkdtempSync(join(tmpdir(), "tortie-doctor-"));
    try {
      copyFileSync(example("10-calico.conflist"), join(confDir, "10-calico.conflist"));
      const program = [process.execPath, join(root, "dist/tortie.js"), "doctor", "--conf-dir", confDir];
      const argv = [...program, "--bin-dir", ourPluginDir, "--grace", "0", "--fix", "--dry-run"];
      const { status, stdout, stderr } = node.run(argv);
      expect({ status, stderr }).toEqual({ status: 3, stderr: "" });
      expect(stdout).toContain(`called DEL of calico for k8s-pod-network/${pod.containerId}/eth0 (dry run)\n`);
      expect(stdout).toMatch(/^Checking kernel\.\.\.\n {2}OK {7}Linux /m);
      expect(stdout).toContain(
        `  FAIL     k8s-pod-network/${pod.containerId}/eth0 (default/${pod.name} eth0) has left`,
      );
      expect(stdout).toMatch(/^Found 1 error and 0 warnings; tortie doctor --fix mends 1\.$/m);
    } finally {
      rmSync(confDir, { recursive: true });
    }
    expect(diff(before, snapshot(node))).toBe("");
    removeLeft();
  });

  test("does what its remedies say when a person pastes them", () => {
    const pod = addPod();
    losePod(pod);
    const { findings } = doctor(node);
    node.sh(findings.map(({ remedy }) => remedy).join("\n"));
    expect(doctor(node)).toMatchObject({ exitCode: 0, findings: [] });
  });
});

function removeLeft(): void {
  expect(doctor(node, { fix: true })).toMatchObject({ exitCode: 0 });
}

describe("an attachment that is gone", () => {
  test("attachment-left: its sandbox went away without a DEL", () => {
    const pod = addPod();
    losePod(pod);
    const all = `its record, address ${pod.address}, host port \\d+/tcp and ifb ${pod.ifb}`;
    expectMended("attachment-left", new RegExp(`has left ${all}, and its sandbox "/run/netns/${pod.name}" is gone`));
  });

  test.each([
    ["its address", ["portmap", "bandwidth"], "removes", /has left address [\d.]+, and no sandbox of its is known/],
    ["its host ports", ["calico", "bandwidth"], "", /has left host port \d+\/tcp, and no sandbox of its is known/],
    ["its ifb", ["calico", "portmap"], "", /has left ifb bwp\w+, and no sandbox of its is known/],
  ])("attachment-left: %s alone is left", (_, deleted, record, text) => {
    const pod = addPod();
    for (const plugin of list.plugins.filter(({ type }) => deleted.includes(type)).reverse()) {
      runner.exec("DEL", plugin.type, requestOf(list, plugin, { sandbox: pod }), pod);
    }
    if (record !== "") node.sh(`rm ${pod.record}; ip link delete ${pod.hostInterface}`);
    losePod(pod);
    expectMended("attachment-left", text);
  });

  test("attachment-left: its record is left", () => {
    const pod = addPod();
    const record = node.sh(`cat ${pod.record}`);
    removePod(pod);
    node.sh(`umask 077; cat > ${pod.record}`, { stdin: record });
    expectMended("attachment-left", /has left its record, and its sandbox/);
  });

  test("it is left alone within the grace, and while its DEL is at work", async () => {
    const pod = addPod();
    losePod(pod);
    expect(doctor(node, { grace: 3600 })).toMatchObject({ exitCode: 0, findings: [] });
    const env = { PATH: "/usr/bin:/bin", CNI_COMMAND: "DEL", CNI_CONTAINERID: pod.containerId, CNI_IFNAME: "eth0" };
    const atWork = node.start(["sleep", "600"], { env });
    await new Promise((resolve) => atWork.once("spawn", resolve));
    await expect.poll(() => doctor(node).findings, { timeout: 20_000 }).toEqual([]);
    node.sh("kill $(cat /proc/[0-9]*/stat | sed -n 's/^\\([0-9]*\\) (sleep) .*/\\1/p')");
    await new Promise((resolve) => (atWork.exitCode === null ? atWork.once("exit", resolve) : resolve(undefined)));
    expectMended("attachment-left", /has left/);
  });
});

describe("an attachment that lives", () => {
  let pod: Pod;
  beforeEach(() => {
    pod = addPod();
  });
  afterEach(() => {
    runner.check(list, pod);
    removePod(pod);
    expect(doctor(node)).toMatchObject({ exitCode: 0, findings: [] });
  });

  test("record-missing: the record is written again as it was", () => {
    const record = JSON.parse(node.sh(`cat ${pod.record}`));
    node.sh(`rm ${pod.record}`);
    expectMended("record-missing", /and no record/);
    const again = JSON.parse(node.sh(`cat ${pod.record}`));
    expect({ ...again, metadata: { ...again.metadata, creationTimestamp: record.metadata.creationTimestamp } }).toEqual(
      record,
    );
  });

  test("record-damaged: the record is torn", () => {
    node.sh(`truncate -s 100 ${pod.record}`);
    expectMended("record-damaged", /has a record that cannot be read/);
  });

  test.each([
    ["a route of the node's", () => `ip route delete ${pod.address}/32`, /route .* is missing/],
    ["its host interface is down", () => `ip link set ${pod.hostInterface} down`, /link cali\w+ is down/],
    ["proxy ARP", () => `sysctl -qw net.ipv4.conf.${pod.hostInterface}.proxy_arp=0`, /proxy_arp is "0", wanted "1"/],
    ["an address inside", () => `ip -n ${pod.name} address flush dev eth0`, /address .* is missing/],
    ["the way out inside", () => `ip -n ${pod.name} route delete default`, /route 0\.0\.0\.0\/0 .* is missing/],
  ])("attachment-different: %s", (_, script, text) => {
    node.sh(script());
    expectMended("attachment-different", text);
  });
});

test("attachment-broken: the interface of a pod that lives was deleted; it gets its network and its address back", () => {
  const pod = addPod();
  // With the pair everything on it goes, its limits too: those are the runtime's to ask for again.
  const bandwidth = list.plugins.find(({ type }) => type === "bandwidth") ?? { type: "bandwidth" };
  runner.exec("DEL", "bandwidth", requestOf(list, bandwidth, { sandbox: pod }), pod);
  node.sh(`ip link delete ${pod.hostInterface}`);
  expectMended("attachment-broken", /has no host interface cali\w+: its pod has no network/);
  expect(node.sh("ip -4 -o address show dev eth0", { in: pod.name })).toContain(pod.address);
  removePod(pod);
});

describe("the node", () => {
  test("forwarding-off: somebody turned it off", () => {
    node.sh("sysctl -qw net.ipv4.ip_forward=0");
    expectMended("forwarding-off", /net\/ipv4\/ip_forward is 0/);
  });

  test("nat-different: somebody emptied a set, and took a rule", () => {
    node.sh("nft flush set ip tortie nat_pools");
    expectMended("nat-different", /table ip tortie is not as the pools want it: element/);
    node.sh("nft flush chain ip tortie postrouting");
    expectMended("nat-different", /rule .* is missing/);
  });

  test("ifb-left and limits-broken: an ifb that nothing is sent through", () => {
    node.sh("ip link add bwp0123456789ab type ifb");
    expectMended("ifb-left", /bwp0123456789ab sends nobody's packets/);
    const pod = addPod();
    node.sh(`tc qdisc delete dev ${pod.hostInterface} ingress`);
    expectMended("limits-broken", /nothing is sent through it/);
    removePod(pod);
  });

  test("a veth pair that is named as an ifb of ours is nobody's business", () => {
    node.sh("ip link add bwpadmin0 type veth peer name bwpadmin1");
    expect(doctor(node).findings).toEqual([]);
    node.sh("ip link del bwpadmin0");
  });

  test("element-unlisted: a mapping that no index lists", () => {
    node.sh(`nft 'add element ip tortie_portmap ports { tcp . 7777 comment "tortie:net/x/eth0" : 10.9.9.9 . 80 }'`);
    const { findings } = doctor(node);
    expect(findings.map(({ id }) => id)).toEqual(["attachment-left", "element-unlisted"]);
    removeLeft();
    expectNeighbourServed();
  });

  test("temporary-file-left: a write was killed", () => {
    node.sh("install -m 600 /dev/null /run/tortie/endpoints/.tmp-0011223344556677");
    expectMended("temporary-file-left", /killed in the middle of a write/);
    node.sh("install -m 600 /dev/null /run/tortie/ipam/blocks/.tmp-0011223344556677");
    expectMended("temporary-file-left", /killed in the middle of a write/);
  });

  test("mode-wrong, owner-wrong: others may read a record, or own a folder", () => {
    node.sh(`chmod 644 ${neighbour.record}`);
    expectMended("mode-wrong", /has mode 0644, wanted 0600/);
    node.sh("chown 1000 /run/tortie/ipam");
    expectMended("owner-wrong", /belongs to user 1000/);
  });

  test("damaged objects are rebuilt, and kept aside for a person to look at", () => {
    node.sh("for file in /run/tortie/ipam/handles/*; do truncate -s 20 $file; done");
    const { exitCode, findings } = doctor(node);
    expect({ exitCode, ids: [...new Set(findings.map(({ id }) => id))] }).toEqual({
      exitCode: 3,
      ids: ["damaged-object"],
    });
    const mended = doctor(node, { fix: true });
    expect(mended.exitCode).toBe(0);
    expect(mended.findings.map(({ id, severity }) => `${severity} ${id}`)).toEqual(["warning damaged-file-kept"]);
    expectNeighbourServed();
    node.sh(String(mended.findings[0]?.remedy));
    expect(doctor(node)).toMatchObject({ exitCode: 0, findings: [] });
  });

  test("a damaged block is rebuilt, and the neighbour keeps its address", () => {
    node.sh("for file in /run/tortie/ipam/blocks/*; do truncate -s 200 $file; done");
    expect(doctor(node).findings.map(({ id }) => id)).toContain("damaged-object");
    const mended = doctor(node, { fix: true });
    expect(mended).toMatchObject({ exitCode: 0 });
    expectNeighbourServed();
  });

  test("lock-held: a process that does not go on", async () => {
    const holder = node.start(["flock", "/run/tortie/ipam.lock", "sh", "-c", "echo held; sleep 600"]);
    await new Promise((resolve) => holder.stdout?.once("data", resolve));
    const { exitCode, findings } = doctor(node);
    expect(exitCode).toBe(3);
    expect(findings.map(({ id }) => id)).toEqual(["lock-held"]);
    expect(findings[0]?.text).toMatch(/is held by process \d+ \(flock\)/);
    node.sh(String(findings[0]?.remedy).replace(/#.*/, ""));
    node.sh("kill $(cat /proc/[0-9]*/stat | sed -n 's/^\\([0-9]*\\) (sleep) .*/\\1/p')");
    await expect.poll(() => doctor(node).findings, { timeout: 20_000 }).toEqual([]);
  });
});

describe("what was installed", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tortie-doctor-bin-"));
    for (const name of suite) copyFileSync(join(ourPluginDir, name), join(folder, name));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });
  const look = (options = {}) => doctor(node, { binDirs: [folder, goPluginDir], ...options });

  test("executable-missing, executable-broken: each is linked from another or made executable", () => {
    rmSync(join(folder, "portmap"));
    writeFileSync(join(folder, "bandwidth"), "no program\n");
    node.sh(`chmod 644 ${join(folder, "calico-ipam")}`);
    // Debian's portmap is found instead, further down the path.
    const found = doctor(node, { binDirs: [folder] });
    expect(found.exitCode).toBe(3);
    expect(found.findings.map(({ id, subject }) => `${id} ${subject}`).sort()).toEqual([
      `executable-broken ${folder}/bandwidth`,
      `executable-broken ${folder}/calico-ipam`,
      "executable-missing portmap",
    ]);
    expect(doctor(node, { binDirs: [folder], fix: true })).toMatchObject({ exitCode: 0, findings: [] });
    expectNeighbourServed();
  });

  test("executable-foreign: another's plugin under a name of ours is a warning", () => {
    rmSync(join(folder, "portmap"));
    const file = join(folder, "10-x.conflist");
    // What Debian's plugins speak.
    writeFileSync(file, JSON.stringify({ ...JSON.parse(list.text), cniVersion: "1.0.0", cniVersions: [] }));
    const { exitCode, findings } = look({ conflist: file });
    expect({ exitCode, ids: findings.map(({ id }) => id) }).toEqual({ exitCode: 0, ids: ["executable-foreign"] });
  });

  test("network-broken, network-refused: for a person to change, told in the plugin's words", () => {
    const file = join(folder, "10-x.conflist");
    writeFileSync(file, "{");
    expect(look({ conflist: file })).toMatchObject({ exitCode: 3, findings: [{ id: "network-broken" }] });
    const text = list.text.replace(/"mtu": \d+/, '"mtu": "large"');
    writeFileSync(file, text);
    const { exitCode, findings } = look({ conflist: file });
    expect(exitCode).toBe(3);
    expect(findings.map(({ id }) => id)).toEqual(["network-refused"]);
    expect(findings[0]?.text).toContain('"mtu" must be an integer, not "large"');
    expect(look({ conflist: file, fix: true })).toMatchObject({ exitCode: 3, notes: [] });
  });

  test("plugin-not-ready: no address is left", () => {
    const tortie = (line: string, stdin = "") =>
      node.run([process.execPath, join(root, "dist/tortie.js"), ...line.split(" ")], { stdin });
    const pool = JSON.parse(tortie("get ippool default-ipv4-ippool -o json").stdout);
    const disabled = { ...pool, spec: { ...pool.spec, disabled: true } };
    expect(tortie("apply -f -", JSON.stringify(disabled)).status).toBe(0);
    const { findings } = look();
    expect(findings.map(({ id }) => id)).toEqual(["plugin-not-ready"]);
    expect(findings[0]?.text).toContain("no configured Calico pools");
    expect(tortie("apply -f -", JSON.stringify({ ...pool, metadata: { name: pool.metadata.name } })).status).toBe(0);
    expect(look()).toMatchObject({ exitCode: 0, findings: [] });
  });
});

/** Two that make pods and take them away, each all of a chain, until /run/stop is there; what fails is written. */
const churn = `
cd ${ourPluginDir}
export CNI_IFNAME=eth0 CNI_PATH=${ourPluginDir}
call() { printf '{"cniVersion":"1.0.0","name":"k8s-pod-network","ipam":{"type":"calico-ipam"}%s}' "$3" | CNI_COMMAND=$1 ./$2 || echo "$1 of $2 failed"; }
pod() {
  export CNI_CONTAINERID=$1 CNI_NETNS=/run/netns/$1 CNI_ARGS="K8S_POD_NAMESPACE=default;K8S_POD_NAME=$1"
  ip netns add $1
  result=$(call ADD calico "")
  result=$(call ADD bandwidth ',"egressRate":1000000,"egressBurst":1000000,"prevResult":'"$result")
  ports='[{"hostPort":'$2',"containerPort":80,"protocol":"tcp"}]'
  call ADD portmap ',"runtimeConfig":{"portMappings":'"$ports"'},"prevResult":'"$result" | grep failed
  for plugin in portmap bandwidth calico; do call DEL $plugin ""; done
  ip netns delete $1
}
for worker in 1 2; do
  (turn=0; while [ ! -e /run/stop ]; do turn=$((turn + 1)); pod churn-$worker-$turn $((9000 + worker)); done) &
done
wait
`;

test("takes no ADD and no DEL that is at work for a wreck, and does not disturb them", async () => {
  const working = node.start(["/bin/sh", "-c", churn]);
  let written = "";
  for (const stream of [working.stdout, working.stderr]) stream?.on("data", (chunk) => (written += String(chunk)));
  for (let look = 0; look < 10; look++) {
    expect(doctor(node, { fix: look % 2 === 1 })).toEqual({ exitCode: 0, findings: [], notes: [] });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const ended = new Promise((resolve) => working.once("exit", resolve));
  node.sh("touch /run/stop");
  await ended;
  expect(written).toBe("");
  expect(doctor(node)).toEqual({ exitCode: 0, findings: [], notes: [] });
  expectNeighbourServed();
});

test.each(exampleNames().filter((name) => !name.includes("loopback")))(
  "%s: a pod is well, and what it leaves is mended",
  async (name) => {
    const other = loadConflist(example(name));
    const elsewhere = await Node.start();
    try {
      const chain = new Runner({ node: elsewhere, pluginDirs });
      const at = { conflist: example(name) };
      const sandbox = (id: string): Sandbox => ({
        containerId: id,
        netns: elsewhere.addPod(id),
        ifname: "eth0",
        capabilities: {
          portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
          bandwidth: { ingressRate: 50e6, ingressBurst: 4e6, egressRate: 50e6, egressBurst: 4e6 },
        },
      });
      chain.add(other, sandbox("c1"));
      expect(doctor(elsewhere, at)).toMatchObject({ exitCode: 0, findings: [] });
      elsewhere.removePod("c1");
      const found = doctor(elsewhere, at);
      expect(found.findings.map(({ id }) => id)).toEqual(["attachment-left"]);
      expect(doctor(elsewhere, { ...at, fix: true })).toMatchObject({ exitCode: 0, findings: [] });
      chain.add(other, sandbox("c2"));
      expect(doctor(elsewhere, at)).toMatchObject({ exitCode: 0, findings: [] });
    } finally {
      await elsewhere.stop();
    }
  },
);
