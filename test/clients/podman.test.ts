/** A real runtime: podman 4 with its CNI back end gives two containers their network by our plugins. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { leaks } from "../lib/kept.ts";
import { Node } from "../lib/netns.ts";
import { Podman } from "../lib/podman.ts";
import { diff, snapshot } from "../lib/snapshot.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";

let node: Node;
let podman: Podman;

beforeAll(async () => {
  requireBuild();
  node = await Node.start();
  const conflist = readFileSync(example("87-podman.conflist"), "utf8");
  podman = new Podman(node, { pluginDirs, conflist, network: "tortie" });
});

afterAll(async () => {
  await node?.stop();
  podman?.close();
});

test("podman lists the network", () => {
  expect(podman.run(["network", "ls"]).stdout).toMatch(/\btortie\b/);
});

test("two containers reach each other, a published port answers, and removal leaves nothing", () => {
  const before = snapshot(node);
  const web = podman.start("web", ["-p", "8080:80"], ["httpd", "-f", "-p", "80", "-h", "/www"]);
  const peer = podman.start("peer", []);
  expect(web).toMatch(/^10\.88\./);
  expect(podman.exec("peer", ["ping", "-c", "1", "-W", "2", web]).status).toBe(0);
  expect(podman.exec("web", ["ping", "-c", "1", "-W", "2", peer]).status).toBe(0);
  expect(podman.exec("web", ["ping", "-c", "1", "-W", "2", "203.0.113.2"]).status).toBe(0);
  expect(get("outside", "203.0.113.1")).toContain("page");
  expect(get(undefined, "127.0.0.1")).toContain("page");
  podman.remove("web", "peer");
  expect(leaks(diff(before, snapshot(node))).filter((line) => !podmansOwn.test(line))).toEqual([]);
});

test("a container that is restarted gets a network again, and one port only once", () => {
  podman.start("first", ["-p", "8081:80"]);
  expect(() => podman.start("second", ["-p", "8081:80"])).toThrow(/8081/);
  expect(podman.run(["restart", "-t", "0", "first"]).status).toBe(0);
  expect(podman.exec("first", ["ping", "-c", "1", "-W", "2", "203.0.113.1"]).status).toBe(0);
  podman.remove("first", "second");
});

/** libcni's cache folder, the runtime's, and podman's lock. */
const podmansOwn =
  /^\+ file (\/var\/lib\/cni\/|\/run\/(runc|cni|libpod|lock|containers|crun)(\/|$| )|\/(etc|var\/lib)\/containers\/)/;

function get(from: string | undefined, host: string): string {
  const script = `exec 3<>/dev/tcp/${host}/8080; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`;
  return node.run(["timeout", "4", "bash", "--norc", "-c", script], from === undefined ? {} : { in: from }).stdout;
}
