/**
 * The built `tortie doctor` on a private node: its report of attachments that were left behind or damaged, the repair, and that the neighbouring
 * pod is not affected.
 */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DoctorNode, type Pod } from "../lib/node/doctor-node.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { requestOf } from "../lib/runtimes/runner.ts";
import { example, ourPluginDir, requireBuild, root } from "../lib/suite.ts";

let host: DoctorNode;

beforeAll(requireBuild);

beforeEach(async () => {
  host = await DoctorNode.start();
});

afterEach(async () => {
  await host?.stop();
});

describe("tortie doctor", () => {
  test("finds nothing on a node whose pods are well, and changes nothing there", () => {
    const before = snapshot(host.node);
    expect(host.doctor()).toEqual({ exitCode: 0, findings: [], remarks: [], notes: [] });
    expect(diff(before, snapshot(host.node))).toBe("");
  });

  test("tells in text what it looked at, what is wrong, and what --fix --dry-run would do, and does nothing", () => {
    const pod = host.addPod();
    host.losePod(pod);
    const before = snapshot(host.node);
    const confDir = mkdtempSync(join(tmpdir(), "tortie-doctor-"));
    try {
      copyFileSync(example("10-calico.conflist"), join(confDir, "10-calico.conflist"));
      const program = [process.execPath, join(root, "dist/tortie.js"), "doctor", "--conf-dir", confDir];
      const argv = [...program, "--bin-dir", ourPluginDir, "--grace", "0", "--fix", "--dry-run"];
      const { status, stdout, stderr } = host.node.run(argv);
      expect({ status, stderr }).toEqual({ status: 3, stderr: "" });
      expect(stdout).toContain(`called DEL of calico for k8s-pod-network/${pod.containerId}/eth0 (dry run)\n`);
      expect(stdout).toMatch(/^Checking kernel\.\.\.\n {2}OK {7}Linux /m);
      expect(stdout).toContain(
        `  FAIL     k8s-pod-network/${pod.containerId}/eth0 (default/${pod.name} eth0) has left`,
      );
      expect(stdout).toContain("\n           remedy: tortie doctor --fix --only attachment-left\n");
      expect(stdout).toMatch(/^Found 1 error and 0 warnings; tortie doctor --fix repairs 1\.$/m);
    } finally {
      rmSync(confDir, { recursive: true });
    }
    expect(diff(before, snapshot(host.node))).toBe("");
    host.removeLeft();
  });

  test("repairs what --only names, and leaves the rest", () => {
    const pod = host.addPod();
    host.node.sh(`nft flush map ip tortie_portmap ports; ip link set ${pod.hostInterface} down`);
    const ids = () => [...new Set(host.doctor().findings.map(({ id }) => id))].sort();
    expect(ids()).toEqual(["attachment-different", "host-ports-different"]);
    expect(host.doctor({ fix: true, only: ["host-ports-different"] }).exitCode).toBe(3);
    expect(ids()).toEqual(["attachment-different"]);
    expect(host.doctor({ fix: true, only: ["host-ports-different", "attachment-different"] }).exitCode).toBe(0);
    host.expectNeighbourServed();
  });

  test("does what its remedies say when a person pastes them", () => {
    const pod = host.addPod();
    host.losePod(pod);
    const { findings } = host.doctor();
    host.node.sh(findings.map(({ remedy }) => remedy).join("\n"));
    expect(host.doctor()).toMatchObject({ exitCode: 0, findings: [] });
  });
});

describe("an attachment that is gone", () => {
  test("attachment-left: its sandbox went away without a DEL", () => {
    const pod = host.addPod();
    host.losePod(pod);
    const all = `its record, address ${pod.address}, host port \\d+/tcp and ifb ${pod.ifb}`;
    host.expectRepaired(
      "attachment-left",
      new RegExp(`has left ${all}, and its sandbox "/run/netns/${pod.name}" is gone`),
    );
  });

  test.each([
    [
      "its address",
      ["portmap", "bandwidth"],
      "removes",
      /has left its record and address [\d.]+, and its sandbox \S+ is gone/,
    ],
    ["its host ports", ["calico", "bandwidth"], "", /has left its record and host port \d+\/tcp, and its sandbox/],
    ["its ifb", ["calico", "portmap"], "", /has left its record and ifb bwp\w+, and its sandbox/],
  ])("attachment-left: %s alone is left", (_, deleted, record, text) => {
    const pod = host.addPod();
    for (const plugin of host.list.plugins.filter(({ type }) => deleted.includes(type)).reverse()) {
      host.runner.exec("DEL", plugin.type, requestOf(host.list, plugin, { sandbox: pod }), pod);
    }
    if (record !== "") host.node.sh(`rm ${pod.record}; ip link delete ${pod.hostInterface}`);
    host.losePod(pod);
    host.expectRepaired("attachment-left", text);
  });

  test("attachment-left: its record is left", () => {
    const pod = host.addPod();
    const record = host.node.sh(`cat ${pod.record}`);
    host.removePod(pod);
    host.node.sh(`umask 077; cat > ${pod.record}`, { stdin: record });
    host.expectRepaired("attachment-left", /has left its record, and its sandbox/);
  });

  test("it is left alone within the grace, and while its DEL is at work", async () => {
    const pod = host.addPod();
    host.losePod(pod);
    expect(host.doctor({ grace: 3600 })).toMatchObject({ exitCode: 0, findings: [] });
    const env = { PATH: "/usr/bin:/bin", CNI_COMMAND: "DEL", CNI_CONTAINERID: pod.containerId, CNI_IFNAME: "eth0" };
    const atWork = host.node.start(["sleep", "600"], { env });
    await new Promise((resolve) => atWork.once("spawn", resolve));
    await expect.poll(() => host.doctor().findings, { timeout: 20_000 }).toEqual([]);
    host.node.sh("kill $(cat /proc/[0-9]*/stat | sed -n 's/^\\([0-9]*\\) (sleep) .*/\\1/p')");
    await new Promise((resolve) => (atWork.exitCode === null ? atWork.once("exit", resolve) : resolve(undefined)));
    host.expectRepaired("attachment-left", /has left/);
  });
});

describe("an attachment that lives", () => {
  let pod: Pod;
  beforeEach(() => {
    pod = host.addPod();
  });
  afterEach(() => {
    host.runner.check(host.list, pod);
    host.removePod(pod);
    expect(host.doctor()).toMatchObject({ exitCode: 0, findings: [] });
  });

  test("record-missing: the record is written again as it was", () => {
    const record = JSON.parse(host.node.sh(`cat ${pod.record}`));
    host.node.sh(`rm ${pod.record}`);
    host.expectRepaired("record-missing", /and no record/);
    const again = JSON.parse(host.node.sh(`cat ${pod.record}`));
    expect({ ...again, metadata: { ...again.metadata, creationTimestamp: record.metadata.creationTimestamp } }).toEqual(
      record,
    );
  });

  test("record-damaged: the record is torn", () => {
    host.node.sh(`truncate -s 100 ${pod.record}`);
    host.expectRepaired("record-damaged", /has a record that cannot be read/);
  });

  test.each([
    ["a route of the node's", () => `ip route delete ${pod.address}/32`, /route .* is missing/],
    ["its host interface is down", () => `ip link set ${pod.hostInterface} down`, /link cali\w+ is down/],
    ["proxy ARP", () => `sysctl -qw net.ipv4.conf.${pod.hostInterface}.proxy_arp=0`, /proxy_arp is "0", wanted "1"/],
    ["an address inside", () => `ip -n ${pod.name} address flush dev eth0`, /address .* is missing/],
    ["the way out inside", () => `ip -n ${pod.name} route delete default`, /route 0\.0\.0\.0\/0 .* is missing/],
  ])("attachment-different: %s", (_, script, text) => {
    host.node.sh(script());
    host.expectRepaired("attachment-different", text);
  });
});

test("attachment-broken: the interface of a pod that lives was deleted; it gets its network and its address back", () => {
  const pod = host.addPod();
  // Everything on the pair is deleted with it, including limits, which only the runtime can request again.
  const bandwidth = host.list.plugins.find(({ type }) => type === "bandwidth") ?? { type: "bandwidth" };
  host.runner.exec("DEL", "bandwidth", requestOf(host.list, bandwidth, { sandbox: pod }), pod);
  host.node.sh(`ip link delete ${pod.hostInterface}`);
  host.expectRepaired("attachment-broken", /has no host interface cali\w+: its pod has no network/);
  expect(host.node.sh("ip -4 -o address show dev eth0", { in: pod.name })).toContain(pod.address);
  host.removePod(pod);
});
