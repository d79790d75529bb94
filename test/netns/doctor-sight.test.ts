/**
 * `tortie doctor` and `tortie ipam` with limited visibility: in a container's mount and process namespaces, on a node whose runtime has its own
 * mount namespace, with sandboxes that have no name. They do not check what they cannot see, and report that.
 */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { DoctorReport } from "../../src/cli/doctor/report.ts";
import { type Pod, Ward } from "../lib/node/doctor-ward.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { example, ourPluginDir, requireBuild, root } from "../lib/suite.ts";

const program = `${process.execPath} ${join(root, "dist/tortie.js")}`;
let ward: Ward;
let confDir: string;

beforeAll(requireBuild);

beforeEach(async () => {
  ward = await Ward.start();
  confDir = mkdtempSync(join(tmpdir(), "tortie-doctor-"));
  copyFileSync(example("10-calico.conflist"), join(confDir, "10-calico.conflist"));
});

afterEach(async () => {
  rmSync(confDir, { recursive: true });
  await ward?.stop();
});

/** The output of a shell in a container with the node's network: it has its own processes and its own /run/netns. */
function inContainer(script: string): string {
  const inside = `mount -t tmpfs none /run/netns; ${script}`;
  return ward.node.sh('unshare --mount --pid --fork --mount-proc sh -c "$SCRIPT"', {
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
  const holder = ward.node.start(["sh", "-c", `exec 9< /run/netns/${name}; echo held; exec sleep 600`]);
  await new Promise((resolve) => holder.stdout?.once("data", resolve));
  ward.node.removePod(name);
  return () => ward.node.sh("kill $(sed -n 's/^\\([0-9]*\\) (sleep) .*/\\1/p' /proc/[0-9]*/stat)");
}

test("tortie doctor in a container leaves live pods alone and does not enter their sandboxes", () => {
  const before = snapshot(ward.node);
  const report = doctorInContainer();
  expect({ ...report, findings: report.findings.map(({ id }) => id) }).toMatchObject({ findings: [], repaired: [] });
  expect(notesOf(report)).toEqual([
    expect.stringMatching(
      /^attachments: k8s-pod-network\/p0-0a1b2c\/eth0: alive but not checked, .* run this command on/,
    ),
  ]);
  expect(diff(before, snapshot(ward.node))).toBe("");
});

test.each([
  ["whose host interface somebody deleted", (pod: Pod) => void ward.node.sh(`ip link delete ${pod.hostInterface}`)],
  ["whose sandbox is gone", (pod: Pod) => ward.losePod(pod)],
])("in a container a pod %s is not checked: the node itself can tell", (_, harm) => {
  const pod = ward.addPod();
  harm(pod);
  const before = snapshot(ward.node);
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
  expect(diff(before, snapshot(ward.node))).toBe("");
  expect(ward.doctor({ fix: true })).toMatchObject({ exitCode: 0, findings: [] });
  ward.expectNeighbourServed();
});

test("tortie doctor looks up sandboxes in a runtime's own mount namespace through its processes", () => {
  const pod = ward.addPod();
  ward.losePod(pod);
  // Only the doctor has another mount namespace, without anything below /run/netns; it sees the processes of the node's.
  const options = `--conf-dir ${confDir} --bin-dir ${ourPluginDir} --grace 0 --fix -o json`;
  const text = ward.node.sh(
    `unshare --mount sh -c 'mount -t tmpfs none /run/netns; ${program} doctor ${options}; test $? -le 3'`,
  );
  const { findings, repaired } = JSON.parse(text) as DoctorReport;
  expect(findings).toEqual([]);
  expect(repaired).toContain(`called DEL of calico for k8s-pod-network/${pod.containerId}/eth0`);
  ward.expectNeighbourServed();
});

test("sandbox-without-path: a namespace that only an open file holds is alive", async () => {
  const pod = ward.addPod();
  const letGo = await holdByFile(pod);
  const { exitCode, findings } = ward.doctor({ fix: true });
  expect(exitCode).toBe(0);
  expect(findings.map(({ id, severity }) => `${severity} ${id}`)).toEqual(["warning sandbox-without-path"]);
  expect(findings[0]?.text).toContain("an open file or a mount elsewhere keeps it alive");
  expect(ward.node.sh(`ip link show dev ${pod.hostInterface}`)).toContain("UP");
  letGo();
  await expect.poll(() => ward.doctor({ fix: true }).findings, { timeout: 20_000 }).toEqual([]);
  expect(ward.node.sh("ls /run/tortie/endpoints").split("\n").filter(Boolean)).toHaveLength(1);
});

test("tortie doctor does not mistake a reused process ID for a sandbox", () => {
  const pod = ward.addPod();
  // Like a runtime that names sandboxes by their processes.
  ward.node.sh(
    `sed -i 's|"/run/netns/${pod.name}"|"/proc/1/ns/net"|; s|: "/run/netns/${pod.name}"|: "/proc/1/ns/net"|' ${pod.record}`,
  );
  ward.losePod(pod);
  ward.expectRepaired("attachment-left", /its sandbox "\/proc\/1\/ns\/net" is gone/);
});
