/**
 * `tortie doctor` and `tortie ipam` with limited visibility: in a container's mount and process namespaces, on a node whose runtime has its own
 * mount namespace, with sandboxes that have no name. They do not check what they cannot see, and report that.
 */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { DoctorReport } from "../../src/cli/doctor/report.ts";
import { DoctorNode, type Pod } from "../lib/node/doctor-node.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { example, ourPluginDir, requireBuild, root } from "../lib/suite.ts";

const program = `${process.execPath} ${join(root, "dist/tortie.js")}`;
let host: DoctorNode;
let confDir: string;

beforeAll(requireBuild);

beforeEach(async () => {
  host = await DoctorNode.start();
  confDir = mkdtempSync(join(tmpdir(), "tortie-doctor-"));
  copyFileSync(example("10-calico.conflist"), join(confDir, "10-calico.conflist"));
});

afterEach(async () => {
  rmSync(confDir, { recursive: true });
  await host?.stop();
});

/** The output of a shell in a container with the node's network: it has its own processes and its own /run/netns. */
function inContainer(script: string): string {
  const inside = `mount -t tmpfs none /run/netns; ${script}`;
  return host.node.sh('unshare --mount --pid --fork --mount-proc sh -c "$SCRIPT"', {
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", SCRIPT: inside },
  });
}

/** `--fix` without a grace period. */
function doctorInContainer(): DoctorReport {
  const options = `--conf-dir ${confDir} --bin-dir ${ourPluginDir} --grace 0 --fix -o json`;
  return JSON.parse(inContainer(`${program} doctor ${options}; test $? -le 3`)) as DoctorReport;
}

function notesOf({ notes }: DoctorReport): readonly string[] {
  return notes.map(({ section, text, subjects }) => `${section}: ${subjects.join(", ")}: ${text}`);
}

/** A pod whose namespace has no name and no process: only an open file keeps it. Returns a function that closes it. */
async function holdByFile({ name }: Pod): Promise<() => void> {
  const holder = host.node.start(["sh", "-c", `exec 9< /run/netns/${name}; echo held; exec sleep 600`]);
  await new Promise((resolve) => holder.stdout?.once("data", resolve));
  host.node.removePod(name);
  return () => host.node.sh("kill $(sed -n 's/^\\([0-9]*\\) (sleep) .*/\\1/p' /proc/[0-9]*/stat)");
}

test("tortie doctor in a container leaves live pods alone and does not enter their sandboxes", () => {
  const before = snapshot(host.node);
  const report = doctorInContainer();
  expect({ ...report, findings: report.findings.map(({ id }) => id) }).toMatchObject({ findings: [], repaired: [] });
  expect(notesOf(report)).toEqual([
    expect.stringMatching(
      /^attachments: k8s-pod-network\/p0-0a1b2c\/eth0: alive but not checked, .* run this command on/,
    ),
  ]);
  expect(diff(before, snapshot(host.node))).toBe("");
});

test.each([
  ["whose host interface somebody deleted", (pod: Pod) => void host.node.sh(`ip link delete ${pod.hostInterface}`)],
  ["whose sandbox is gone", (pod: Pod) => host.losePod(pod)],
])("in a container a pod %s is not checked: the node itself can tell", (_, harm) => {
  const pod = host.addPod();
  harm(pod);
  const before = snapshot(host.node);
  const report = doctorInContainer();
  expect(report.repaired).toEqual([]);
  expect(notesOf(report)).toContainEqual(
    expect.stringMatching(
      /^attachments: k8s-pod-network\/p1-\S+: not checked, in a sandbox that is not visible from here/,
    ),
  );
  expect(inContainer(`${program} ipam check`)).toContain("not checked");
  inContainer(
    `${program} ipam check -o /run/r.json; ${program} ipam release --from-report /run/r.json; rm /run/r.json`,
  );
  expect(diff(before, snapshot(host.node))).toBe("");
  expect(host.doctor({ fix: true })).toMatchObject({ exitCode: 0, findings: [] });
  host.expectNeighbourServed();
});

test("tortie doctor looks up sandboxes in a runtime's own mount namespace through its processes", () => {
  const pod = host.addPod();
  host.losePod(pod);
  // Only the doctor has another mount namespace, without anything below /run/netns; it sees the processes of the node's.
  const options = `--conf-dir ${confDir} --bin-dir ${ourPluginDir} --grace 0 --fix -o json`;
  const text = host.node.sh(
    `unshare --mount sh -c 'mount -t tmpfs none /run/netns; ${program} doctor ${options}; test $? -le 3'`,
  );
  const { findings, repaired } = JSON.parse(text) as DoctorReport;
  expect(findings).toEqual([]);
  expect(repaired).toContain(`called DEL of calico for k8s-pod-network/${pod.containerId}/eth0`);
  host.expectNeighbourServed();
});

test("sandbox-without-path: a namespace that only an open file holds is alive", async () => {
  const pod = host.addPod();
  const letGo = await holdByFile(pod);
  const { exitCode, findings } = host.doctor({ fix: true });
  expect(exitCode).toBe(0);
  expect(findings.map(({ id, severity }) => `${severity} ${id}`)).toEqual(["warning sandbox-without-path"]);
  expect(findings[0]?.text).toContain("an open file or a mount elsewhere keeps it alive");
  expect(host.node.sh(`ip link show dev ${pod.hostInterface}`)).toContain("UP");
  letGo();
  await expect.poll(() => host.doctor({ fix: true }).findings, { timeout: 20_000 }).toEqual([]);
  expect(host.node.sh("ls /run/tortie/endpoints").split("\n").filter(Boolean)).toHaveLength(1);
});

test("tortie doctor does not mistake a reused process ID for a sandbox", () => {
  const pod = host.addPod();
  // Like a runtime that names sandboxes by their processes.
  host.node.sh(
    `sed -i 's|"/run/netns/${pod.name}"|"/proc/1/ns/net"|; s|: "/run/netns/${pod.name}"|: "/proc/1/ns/net"|' ${pod.record}`,
  );
  host.losePod(pod);
  host.expectRepaired("attachment-left", /its sandbox "\/proc\/1\/ns\/net" is gone/);
});
