/** Installations on a private node with the commands of the documents, and their results. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadConflist, parseConflist } from "../lib/conflist.ts";
import { install, installByShell, uninstallByShell } from "../lib/node/install.ts";
import { type Completed, Node } from "../lib/node/netns.ts";
import { Runner } from "../lib/runtimes/runner.ts";
import { example, goPluginDir, ourPluginDir, requireBuild, root, suite } from "../lib/suite.ts";

const names = [...suite].sort();
const list = loadConflist(example("10-calico.conflist"));
let node: Node;

beforeEach(async () => {
  requireBuild();
  node = await Node.start();
});

afterEach(async () => {
  await node?.stop();
});

function tortie(...words: readonly string[]): Completed {
  return node.run([process.execPath, `${root}/dist/tortie.js`, ...words]);
}

/** Inode, mode and name of everything in the directory. */
function executables(): readonly string[] {
  return node
    .sh("ls -A /opt/cni/bin | while read -r name; do stat -c '%i %a %n' \"/opt/cni/bin/$name\"; done")
    .trim()
    .split("\n");
}

test.each([
  ["README.md", install],
  ["docs/operations.md, without Node", installByShell],
])("as %s says: one file, and calico-ipam runs in calico's process", (_, how) => {
  how(node);
  const found = executables().map((line) => line.split(" "));
  expect(found.map(([, mode, path = ""]) => `${mode} ${path.slice("/opt/cni/bin/".length)}`)).toEqual(
    names.map((name) => `755 ${name}`),
  );
  expect(new Set(found.map(([inode]) => inode)).size).toBe(1);

  const runner = new Runner({ node, pluginDirs: ["/opt/cni/bin"] });
  const sandbox = { containerId: "web-0a1b2c", netns: node.addPod("web"), ifname: "eth0", args: [] };
  runner.add(list, sandbox);
  const lines = node.sh("cat /var/log/calico/cni/cni.log").trim().split("\n");
  const pidOf = (plugin: string) => {
    const line = lines
      .map((text) => JSON.parse(text))
      .find((one) => one.plugin === plugin && one.containerID === sandbox.containerId);
    return line?.pid;
  };
  expect(pidOf("calico-ipam")).toBeGreaterThan(0);
  expect(pidOf("calico-ipam")).toBe(pidOf("calico"));
  runner.del(list, sandbox);
});

test("tortie install --uninstall is refused while a pod is attached, and otherwise restores the directories", () => {
  const look = () => node.sh("find /opt /etc/cni -type f 2>/dev/null | sort");
  const before = look();
  install(node);
  const runner = new Runner({ node, pluginDirs: ["/opt/cni/bin"] });
  const sandbox = { containerId: "web-0a1b2c", netns: node.addPod("web"), ifname: "eth0", args: [] };
  runner.add(list, sandbox);
  const installed = look();
  expect(tortie("install", "--uninstall")).toMatchObject({
    status: 1,
    stdout: "",
    stderr: expect.stringContaining("cannot uninstall: an attachment is left"),
  });
  expect(look()).toBe(installed);
  runner.del(list, sandbox);
  expect(tortie("install", "--uninstall").status).toBe(0);
  expect(look()).toBe(before);
});

test("the shell lines for a node without Node remove our plugins, and leave a foreign plugin of the same name", () => {
  const look = () => node.sh("find /opt /etc/cni -type f 2>/dev/null | sort");
  const before = look();
  installByShell(node);
  uninstallByShell(node);
  expect(look()).toBe(before);
  installByShell(node);
  node.sh(`cp ${goPluginDir}/portmap /opt/cni/bin/.go && mv /opt/cni/bin/.go /opt/cni/bin/portmap`);
  uninstallByShell(node);
  expect(executables().map((line) => line.split("/").at(-1))).toEqual(["portmap"]);
});

test("tortie install beside kept Go plugins offers the versions that all plugins support, and a pod is attached", () => {
  node.sh(`mkdir -p /opt/cni/bin && cp ${goPluginDir}/portmap ${goPluginDir}/bandwidth /opt/cni/bin/`);
  const file = example("10-calico.conflist");
  const { status, stderr } = tortie("install", "--keep", "--from", ourPluginDir, "--conflist", file);
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: expect.stringMatching(
      /offers 0\.3\.1, 0\.4\.0 and 1\.0\.0, and not 1\.1\.0: .*bandwidth" and .*portmap" do not speak it/,
    ),
  });
  const installed = parseConflist(node.sh("cat /etc/cni/net.d/10-calico.conflist"));
  const runner = new Runner({ node, pluginDirs: ["/opt/cni/bin"] });
  const sandbox = { containerId: "web-0a1b2c", netns: node.addPod("web"), ifname: "eth0", args: [] };
  runner.add(installed, sandbox);
  runner.del(installed, sandbox);
});

test("tortie install replaces a plugin atomically: one started meanwhile is either the old or the new one", () => {
  install(node);
  // 300 starts during 6 installations, each of which replaces copies by links.
  const loop = `
    i=0; while [ $i -lt 300 ]; do i=$((i + 1)); /opt/cni/bin/portmap -v >/dev/null || echo "failed: $?"; done & asked=$!
    for i in 1 2 3 4 5 6; do
      for name in ${names.join(" ")}; do cp /opt/cni/bin/$name /opt/cni/bin/.copy; mv -f /opt/cni/bin/.copy /opt/cni/bin/$name; done
      ${process.execPath} ${root}/dist/tortie.js install --from ${ourPluginDir} >/dev/null
    done
    wait $asked`;
  expect(node.sh(loop)).toBe("");
  expect(executables()).toHaveLength(names.length);
});
