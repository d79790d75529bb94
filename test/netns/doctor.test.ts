/**
 * The built `tortie doctor` on a private node: its report of attachments that were left behind or damaged, the repair, and that the neighbouring
 * pod is not affected.
 */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Pod, Ward } from "../lib/node/doctor-ward.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { requestOf } from "../lib/runtimes/runner.ts";
import { example, ourPluginDir, requireBuild, root } from "../lib/suite.ts";

let ward: Ward;

beforeAll(requireBuild);

beforeEach(async () => {
  ward = await Ward.start();
});

afterEach(async () => {
  await ward?.stop();
});

describe("tortie doctor", () => {
  test("finds nothing on a node whose pods are well, and changes nothing there", () => {
    const before = snapshot(ward.node);
    expect(ward.doctor()).toEqual({ exitCode: 0, findings: [], remarks: [], notes: [] });
    expect(diff(before, snapshot(ward.node))).toBe("");
  });

  test("tells in text what it looked at, what is wrong, and what --fix --dry-run would do, and does nothing", () => {
    const pod = ward.addPod();
    ward.losePod(pod);
    const before = snapshot(ward.node);
    const confDir = mkdtempSync(join(tmpdir(), "tortie-doctor-"));
    try {
      copyFileSync(example("10-calico.conflist"), join(confDir, "10-calico.conflist"));
      const program = [process.execPath, join(root, "dist/tortie.js"), "doctor", "--conf-dir", confDir];
      const argv = [...program, "--bin-dir", ourPluginDir, "--grace", "0", "--fix", "--dry-run"];
      const { status, stdout, stderr } = ward.node.run(argv);
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
    expect(diff(before, snapshot(ward.node))).toBe("");
    ward.removeLeft();
  });

  test("repairs what --only names, and leaves the rest", () => {
    const pod = ward.addPod();
    ward.node.sh(`nft flush map ip tortie_portmap ports; ip link set ${pod.hostInterface} down`);
    const ids = () => [...new Set(ward.doctor().findings.map(({ id }) => id))].sort();
    expect(ids()).toEqual(["attachment-different", "host-ports-different"]);
    expect(ward.doctor({ fix: true, only: ["host-ports-different"] }).exitCode).toBe(3);
    expect(ids()).toEqual(["attachment-different"]);
    expect(ward.doctor({ fix: true, only: ["host-ports-different", "attachment-different"] }).exitCode).toBe(0);
    ward.expectNeighbourServed();
  });

  test("does what its remedies say when a person pastes them", () => {
    const pod = ward.addPod();
    ward.losePod(pod);
    const { findings } = ward.doctor();
    ward.node.sh(findings.map(({ remedy }) => remedy).join("\n"));
    expect(ward.doctor()).toMatchObject({ exitCode: 0, findings: [] });
  });
});

describe("an attachment that is gone", () => {
  test("attachment-left: its sandbox went away without a DEL", () => {
    const pod = ward.addPod();
    ward.losePod(pod);
    const all = `its record, address ${pod.address}, host port \\d+/tcp and ifb ${pod.ifb}`;
    ward.expectRepaired(
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
    const pod = ward.addPod();
    for (const plugin of ward.list.plugins.filter(({ type }) => deleted.includes(type)).reverse()) {
      ward.runner.exec("DEL", plugin.type, requestOf(ward.list, plugin, { sandbox: pod }), pod);
    }
    if (record !== "") ward.node.sh(`rm ${pod.record}; ip link delete ${pod.hostInterface}`);
    ward.losePod(pod);
    ward.expectRepaired("attachment-left", text);
  });

  test("attachment-left: its record is left", () => {
    const pod = ward.addPod();
    const record = ward.node.sh(`cat ${pod.record}`);
    ward.removePod(pod);
    ward.node.sh(`umask 077; cat > ${pod.record}`, { stdin: record });
    ward.expectRepaired("attachment-left", /has left its record, and its sandbox/);
  });

  test("it is left alone within the grace, and while its DEL is at work", async () => {
    const pod = ward.addPod();
    ward.losePod(pod);
    expect(ward.doctor({ grace: 3600 })).toMatchObject({ exitCode: 0, findings: [] });
    const env = { PATH: "/usr/bin:/bin", CNI_COMMAND: "DEL", CNI_CONTAINERID: pod.containerId, CNI_IFNAME: "eth0" };
    const atWork = ward.node.start(["sleep", "600"], { env });
    await new Promise((resolve) => atWork.once("spawn", resolve));
    await expect.poll(() => ward.doctor().findings, { timeout: 20_000 }).toEqual([]);
    ward.node.sh("kill $(cat /proc/[0-9]*/stat | sed -n 's/^\\([0-9]*\\) (sleep) .*/\\1/p')");
    await new Promise((resolve) => (atWork.exitCode === null ? atWork.once("exit", resolve) : resolve(undefined)));
    ward.expectRepaired("attachment-left", /has left/);
  });
});

describe("an attachment that lives", () => {
  let pod: Pod;
  beforeEach(() => {
    pod = ward.addPod();
  });
  afterEach(() => {
    ward.runner.check(ward.list, pod);
    ward.removePod(pod);
    expect(ward.doctor()).toMatchObject({ exitCode: 0, findings: [] });
  });

  test("record-missing: the record is written again as it was", () => {
    const record = JSON.parse(ward.node.sh(`cat ${pod.record}`));
    ward.node.sh(`rm ${pod.record}`);
    ward.expectRepaired("record-missing", /and no record/);
    const again = JSON.parse(ward.node.sh(`cat ${pod.record}`));
    expect({ ...again, metadata: { ...again.metadata, creationTimestamp: record.metadata.creationTimestamp } }).toEqual(
      record,
    );
  });

  test("record-damaged: the record is torn", () => {
    ward.node.sh(`truncate -s 100 ${pod.record}`);
    ward.expectRepaired("record-damaged", /has a record that cannot be read/);
  });

  test.each([
    ["a route of the node's", () => `ip route delete ${pod.address}/32`, /route .* is missing/],
    ["its host interface is down", () => `ip link set ${pod.hostInterface} down`, /link cali\w+ is down/],
    ["proxy ARP", () => `sysctl -qw net.ipv4.conf.${pod.hostInterface}.proxy_arp=0`, /proxy_arp is "0", wanted "1"/],
    ["an address inside", () => `ip -n ${pod.name} address flush dev eth0`, /address .* is missing/],
    ["the way out inside", () => `ip -n ${pod.name} route delete default`, /route 0\.0\.0\.0\/0 .* is missing/],
  ])("attachment-different: %s", (_, script, text) => {
    ward.node.sh(script());
    ward.expectRepaired("attachment-different", text);
  });
});

test("attachment-broken: the interface of a pod that lives was deleted; it gets its network and its address back", () => {
  const pod = ward.addPod();
  // Everything on the pair is deleted with it, including limits, which only the runtime can request again.
  const bandwidth = ward.list.plugins.find(({ type }) => type === "bandwidth") ?? { type: "bandwidth" };
  ward.runner.exec("DEL", "bandwidth", requestOf(ward.list, bandwidth, { sandbox: pod }), pod);
  ward.node.sh(`ip link delete ${pod.hostInterface}`);
  ward.expectRepaired("attachment-broken", /has no host interface cali\w+: its pod has no network/);
  expect(ward.node.sh("ip -4 -o address show dev eth0", { in: pod.name })).toContain(pod.address);
  ward.removePod(pod);
});
