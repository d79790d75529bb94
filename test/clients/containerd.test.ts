/**
 * A real runtime: containerd with its CRI, called as kubelet calls it, on a node that was installed with the commands of README.md.
 *
 * The pods' containers serve their host name, which is the pod's.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { removeOwnCgroups } from "../lib/node/cgroups.ts";
import { expectRate, queueRates } from "../lib/node/expect-rate.ts";
import { install } from "../lib/node/install.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node, nodeAddress4, outsideAddress4 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { answers, ask, ping, waitForPort } from "../lib/node/traffic.ts";
import { Containerd, containerdIsMissing, containerdsOwn } from "../lib/runtimes/containerd.ts";
import type { Pod, SandboxStatus } from "../lib/runtimes/cri.ts";
import { images, serveCommand } from "../lib/runtimes/image.ts";
import { Runner } from "../lib/runtimes/runner.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";

let node: Node;
let containerd: Containerd;
let clean: string;

interface Running extends SandboxStatus {
  readonly pod: Pod;
  readonly id: string;
}

beforeAll(async () => {
  if (containerdIsMissing !== undefined) return;
  requireBuild();
  node = await Node.start();
  install(node);
  containerd = await Containerd.start(node);
});

afterAll(async () => {
  containerd?.close();
  await node?.stop();
  removeOwnCgroups();
});

beforeEach((context) => {
  context.skip(containerdIsMissing !== undefined, containerdIsMissing);
  clean = snapshot(node);
});

/** One defect must not make the next test fail. */
afterEach(async ({ task }) => {
  if (containerd === undefined) return;
  if (task.result?.state === "fail") console.error(containerd.log());
  await removeAll();
});

async function removeAll(): Promise<void> {
  const { cri } = containerd;
  await Promise.all((await cri.list()).map(async ({ id }) => cri.stop(id).then(() => cri.remove(id))));
}

/** Runs the pods in parallel, each with a container that serves. */
async function start(...pods: readonly Pod[]): Promise<readonly Running[]> {
  const { cri } = containerd;
  return Promise.all(
    pods.map(async (pod) => {
      const id = await cri.run(pod);
      await cri.startContainer(id, pod, images.box, serveCommand);
      const status = await cri.status(id);
      waitForPort(node, status.netns, 80);
      return { pod, id, ...status };
    }),
  );
}

async function remove(...running: readonly Running[]): Promise<void> {
  const { cri } = containerd;
  await Promise.all(running.map(({ id }) => cri.stop(id)));
  await Promise.all(running.map(({ id }) => cri.remove(id)));
}

function expectNothingLeft(since = clean): void {
  expect(leaks(diff(since, snapshot(node))).filter((line) => !containerdsOwn.test(line))).toEqual([]);
}

/** Everything that a client may need from a pod: its address and its host ports, from everywhere. */
function expectServed({ pod, ip, netns }: Running): void {
  expect(ask(node, undefined, ip, 80)).toContain(`${pod.name} sees`);
  expect(ping(node, netns, outsideAddress4)).toBe(true);
  for (const { hostPort } of pod.ports ?? []) {
    expect(ask(node, "outside", nodeAddress4, hostPort)).toBe(`${pod.name} sees ${outsideAddress4}`);
    expect(ask(node, undefined, "127.0.0.1", hostPort)).toContain(`${pod.name} sees`);
  }
}

function port(hostPort: number): Pod["ports"] & object {
  return [{ hostPort, containerPort: 80 }];
}

test("containerd reports the network as ready", async () => {
  expect(await containerd.cri.isNetworkReady()).toBe(true);
});

test("containerd: a pod has its address, host port and limits, and leaves nothing", async () => {
  const [web] = await start({ name: "web", ports: port(8080), ingressBandwidth: "20M", egressBandwidth: "10M" });
  if (web === undefined) throw new Error("no pod");
  expect(web.ip).toMatch(/^192\.168\./);
  expectServed(web);
  expect(ask(node, web.netns, nodeAddress4, 8080)).toContain("web sees");
  expect(queueRates(node)).toEqual({ toPods: [20e6], fromPods: [10e6] });
  expectRate(node, undefined, web.netns, web.ip, 20e6);
  expectRate(node, web.netns, undefined, nodeAddress4, 10e6);
  await remove(web);
  expect(answers(node, "outside", nodeAddress4, 8080)).toBe(false);
  expectNothingLeft();
});

test("containerd: 20 concurrent pods have an address each, answer on their host ports, keep their rates and leave nothing", async () => {
  const pods = Array.from({ length: 20 }, (_, index) => ({
    name: `web-${index}`,
    ports: port(8000 + index),
    ...(index % 5 === 0 && { ingressBandwidth: `${10 + index}M`, egressBandwidth: `${10 + index}M` }),
  }));
  const running = await start(...pods);
  expect(new Set(running.map(({ ip }) => ip)).size).toBe(20);
  for (const one of running) expectServed(one);
  const [first, , , , , limited] = running;
  if (first === undefined || limited === undefined) throw new Error("no pods");
  for (const { ip } of running) expect(ping(node, first.netns, ip)).toBe(true);
  const rates = [10e6, 15e6, 20e6, 25e6];
  expect(queueRates(node)).toEqual({ toPods: rates, fromPods: rates });
  expectRate(node, undefined, limited.netns, limited.ip, 15e6);
  expectRate(node, first.netns, undefined, nodeAddress4, 10e6);
  await remove(...running);
  expectNothingLeft();
});

test("containerd: a pod that requests a taken host port is refused with the owner's name, and leaves nothing", async () => {
  const [web] = await start({ name: "web", ports: port(8080) });
  const before = snapshot(node);
  const second = containerd.cri.run({ name: "other", ports: port(8080) });
  await expect(second).rejects.toThrow(
    new RegExp(`cannot map host port 8080/tcp: it is taken by container "${web?.id}"`),
  );
  expectNothingLeft(before);
});

test("containerd: a pod's next sandbox takes over the address and the host port while the old one still exists, and keeps them", async () => {
  const pod = { name: "web", namespace: "default" };
  const [old] = await start(pod);
  const [young] = await start({ ...pod, attempt: 1 });
  if (old === undefined || young === undefined) throw new Error("no pods");
  expectServed(young);
  await remove(old);
  expectServed(young);
  await remove(young);
  expectNothingLeft();
});

test("containerd stops and removes a sandbox whose network namespace is gone", async () => {
  const [web] = await start({ name: "web", ports: port(8080), ingressBandwidth: "10M", egressBandwidth: "10M" });
  if (web === undefined) throw new Error("no pod");
  node.sh(`umount -l /run/netns/${web.netns}; rm /run/netns/${web.netns}`);
  await remove(web);
  expectNothingLeft();
});

describe.each(["TERM", "KILL"] as const)("after containerd was ended by SIG%s with pods running", (signal) => {
  test("they are served, new ones come beside them, and nothing is left of either", async () => {
    const names = Array.from({ length: 20 }, (_, index) => ({ name: `web-${index}`, ports: port(8000 + index) }));
    const before = await start(...names.slice(0, 10));
    containerd.end(signal);
    for (const one of before) expectServed(one);
    await containerd.begin();
    const after = await start(...names.slice(10));
    const all = [...before, ...after];
    for (const { id, ip } of before) expect(await containerd.cri.status(id)).toMatchObject({ isReady: true, ip });
    expect(new Set(all.map(({ ip }) => ip)).size).toBe(20);
    for (const one of all) expectServed(one);
    await remove(...all);
    expectNothingLeft();
  });
});

test("containerd killed while it starts 20 pods: their next attempts succeed, and GC removes what it forgot", async () => {
  const pods = Array.from({ length: 20 }, (_, index) => ({ name: `web-${index}`, ports: port(8000 + index) }));
  const attempts = pods.map((pod) => containerd.cri.run(pod));
  await Promise.any(attempts);
  containerd.end("KILL");
  await Promise.allSettled(attempts);
  await containerd.begin();
  const { cri } = containerd;
  // As kubelet does: it stops a sandbox that is not ready, and creates another one for its pod.
  const listed = await cri.list();
  for (const { id } of listed.filter(({ isReady }) => !isReady)) await cri.stop(id);
  const alive = listed.filter(({ isReady }) => isReady).map(({ name }) => name);
  const again = pods.filter(({ name }) => !alive.includes(name)).map((pod) => ({ ...pod, attempt: 1 }));
  expect(again.length).toBeGreaterThan(0);
  for (const one of await start(...again)) expectServed(one);
  const sandboxes = (await cri.list()).filter(({ isReady }) => isReady);
  const addresses = await Promise.all(sandboxes.map(async ({ id }) => (await cri.status(id)).ip));
  expect(new Set(addresses).size).toBe(20);
  await removeAll();
  new Runner({ node, pluginDirs }).collect(loadConflist(example("10-calico.conflist")), []);
  node.sh("for name in $(ls /run/netns | grep ^cni-); do ip netns del $name; done");
  expectNothingLeft();
});
