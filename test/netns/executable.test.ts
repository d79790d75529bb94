/** The executable itself: static, small, without dependencies, and the only program that runs. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { Node } from "../lib/node/netns.ts";
import { tortieNet } from "../lib/node/tortie-net.ts";
import { Runner } from "../lib/runtimes/runner.ts";
import { example, ourPluginDir, pluginDirs, requireBuild, suite } from "../lib/suite.ts";

beforeAll(requireBuild);

/** The plugin gets an empty environment. */
const bare = { env: {}, extendEnv: false, input: "" } as const;

test("tortie-net is one more name of the plugins' file, and not among them", () => {
  expect(statSync(tortieNet).ino).toBe(statSync(join(ourPluginDir, "calico")).ino);
  expect(existsSync(join(ourPluginDir, "tortie-net"))).toBe(false);
});

describe.each(suite)("%s", (name) => {
  const path = join(ourPluginDir, name);

  test("is statically linked", () => {
    expect(execaSync("file", [path]).stdout).toMatch(/statically linked|static-pie linked/);
    const { stdout, stderr } = execaSync("ldd", [path], { reject: false });
    expect(stdout + stderr).toMatch(/not a dynamic executable|statically linked/);
  });

  test("takes less than 1.66 MB", () => {
    // Debian 12's compiler. That of Debian 13 makes it some 2 % larger.
    expect(statSync(path).size).toBeLessThan(1_660_000);
  });

  test("is the same file as the others", () => {
    expect(statSync(path).ino).toBe(statSync(join(ourPluginDir, "calico")).ino);
  });

  test("answers VERSION in an empty read-only root with an empty environment", () => {
    const directory = mkdtempSync(join(tmpdir(), "tortie-"));
    try {
      copyFileSync(path, join(directory, name));
      const script = `mount --bind ${directory} ${directory} && mount -o remount,bind,ro ${directory} && exec env -i CNI_COMMAND=VERSION /usr/sbin/chroot ${directory} /${name}`;
      const argv = ["--mount", "--net", "sh", "-c", script];
      const { exitCode, stdout, stderr } = execaSync("unshare", argv, { input: "", reject: false });
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      expect(JSON.parse(stdout).supportedVersions).toContain("1.1.0");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test.each(["-v", "--version"])("prints its version for %s", (flag) => {
    const { stdout } = execaSync(path, [flag], bare);
    expect(stdout).toMatch(/\d+\.\d+\.\d+/);
  });

  test("without CNI_COMMAND tells what it is on stderr", () => {
    const { stdout, stderr } = execaSync(path, [], bare);
    expect(stdout).toBe("");
    expect(stderr).toMatch(new RegExp(`CNI ${name} plugin .*\\nCNI protocol versions supported: 0\\.1\\.0, `));
  });
});

describe("strace -f of the full chain", () => {
  let node: Node;
  beforeAll(async () => {
    node = await Node.start();
  });
  afterAll(async () => {
    await node?.stop();
  });

  test("ADD, CHECK and DEL execute no program but our own plugins", () => {
    const trace = "/run/.node/trace";
    const wrap = ["/usr/bin/strace", "-f", "-A", "-e", "trace=execve,execveat", "-o", trace];
    const runner = new Runner({ node, pluginDirs, wrap });
    const list = loadConflist(example("10-calico.conflist"));
    const pod = {
      containerId: "traced",
      netns: node.addPod("traced"),
      ifname: "eth0",
      capabilities: {
        portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "udp" }],
        bandwidth: { ingressRate: 50e6, ingressBurst: 4e6, egressRate: 50e6, egressBurst: 4e6 },
      },
    };
    runner.add(list, pod);
    runner.check(list, pod);
    runner.del(list, pod);
    expect(existsSync(node.outerPath(trace))).toBe(true);
    const programs = [...readFileSync(node.outerPath(trace), "utf8").matchAll(/execve(?:at)?\("([^"]+)"/g)].map(
      ([, path = ""]) => path,
    );
    expect(programs.length).toBeGreaterThanOrEqual(9);
    expect(programs.filter((path) => !path.startsWith(ourPluginDir)).map((path) => basename(path))).toEqual([]);
  });
});
