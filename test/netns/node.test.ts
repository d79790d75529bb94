/** A node ends with the process that created it, however that process ends, and leaves nothing on the machine. */
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { expect, test } from "vitest";
import { Node } from "../lib/node/netns.ts";
import { root } from "../lib/suite.ts";

/** Starts a node with a pod and a server in it, prints the children's IDs, and stays. */
const maker = `
  import { Node } from ${JSON.stringify(join(root, "test/lib/node/netns.ts"))};
  const node = await Node.start();
  node.addPod("a");
  node.start(["sleep", "600"], { in: "a" });
  console.log(JSON.stringify({ pid: process.pid }));
  setInterval(() => {}, 1000);
`;

test.each(["SIGTERM", "SIGINT", "SIGKILL"] as const)("a node ends when its process gets %s", async (signal) => {
  const argv = ["--import", "tsx", "--input-type=module", "-e", maker];
  const child = execa(process.execPath, argv, { cwd: root, reject: false });
  const [line] = await Promise.race([once(child.stdout, "data"), child.then(({ stderr }) => Promise.reject(stderr))]);
  const { pid } = JSON.parse(String(line)) as { readonly pid: number };
  const family = descendants(pid);
  expect(family.length).toBeGreaterThanOrEqual(3);
  child.kill(signal);
  for (let i = 0; i < 200 && family.some(isThere); i++) await sleep(50);
  expect(family.filter(isThere)).toEqual([]);
});

test("a node's changes are not visible on the machine", async () => {
  const before = machine();
  const node = await Node.start();
  node.addPod("a");
  node.sh(
    "mkdir -p /var/lib/tortie /etc/cni/net.d; echo 1 > /var/lib/tortie/x; echo 1 > /proc/sys/net/ipv4/ip_forward",
  );
  expect(machine()).toEqual(before);
  await node.stop();
  expect(machine()).toEqual(before);
});

function machine(): unknown {
  const directories = ["/run/netns", "/var/lib/tortie", "/etc/cni/net.d"].map((path) =>
    existsSync(path) ? readdirSync(path) : undefined,
  );
  return [
    directories,
    readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8"),
    readFileSync("/proc/net/dev", "utf8").split("\n").length,
  ];
}

function descendants(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return children === ""
    ? []
    : children
        .split(" ")
        .map(Number)
        .flatMap((child) => [child, ...descendants(child)]);
}

function isThere(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}
