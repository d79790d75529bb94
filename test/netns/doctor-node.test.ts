/** `tortie doctor` about the node itself: objects without an attachment, the state directories, the locks, and the installation. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DoctorNode } from "../lib/node/doctor-node.ts";
import { goPluginDir, ourPluginDir, requireBuild, root, suite } from "../lib/suite.ts";

let host: DoctorNode;

beforeAll(requireBuild);

beforeEach(async () => {
  host = await DoctorNode.start();
});

afterEach(async () => {
  await host?.stop();
});

describe("the node", () => {
  test("forwarding-off: somebody turned it off", () => {
    host.node.sh("sysctl -qw net.ipv4.ip_forward=0");
    host.expectRepaired("forwarding-off", /net\/ipv4\/ip_forward is 0/);
  });

  test("nat-different: somebody emptied a set, and took a rule", () => {
    host.node.sh("nft flush set ip tortie nat_pools");
    host.expectRepaired("nat-different", /table ip tortie does not match the pools: element/);
    host.node.sh("nft flush chain ip tortie postrouting");
    host.expectRepaired("nat-different", /rule .* is missing/);
  });

  test("ifb-left and limits-different: an ifb that nothing is sent through", () => {
    host.node.sh("ip link add bwp0123456789ab type ifb");
    host.expectRepaired("ifb-left", /bwp0123456789ab carries no packets/);
    const pod = host.addPod();
    host.node.sh(`tc qdisc delete dev ${pod.hostInterface} ingress`);
    host.expectRepaired("limits-different", /ingress .* is missing/);
    host.removePod(pod);
  });

  test("a veth pair that is named as an ifb of ours is nobody's business", () => {
    host.node.sh("ip link add bwpadmin0 type veth peer name bwpadmin1");
    expect(host.doctor().findings).toEqual([]);
    host.node.sh("ip link del bwpadmin0");
  });

  test("element-unlisted: a mapping that no index lists", () => {
    host.node.sh(
      `nft 'add element ip tortie_portmap ports { tcp . 7777 comment "tortie:net/x/eth0" : 10.9.9.9 . 80 }'`,
    );
    const { findings } = host.doctor();
    expect(findings.map(({ id }) => id)).toEqual(["attachment-left", "element-unlisted"]);
    host.removeLeft();
    host.expectNeighbourServed();
  });

  test.each([
    [
      "full",
      "cp -a /run/tortie /run/.full; mount -t tmpfs -o size=128k,mode=700 tmpfs /run/tortie; cp -a /run/.full/. /run/tortie; " +
        "rm -r /run/.full; install -m 600 /dev/null /run/tortie/fill; cat /dev/zero >/run/tortie/fill || true",
    ],
    ["read-only", "mount --bind /run/tortie /run/tortie; mount -o remount,bind,ro /run/tortie"],
  ])("plugin-not-ready: a %s /run, which does not stop the doctor", (what, script) => {
    host.node.sh(script);
    const { findings } = host.doctor();
    expect(findings.map(({ id }) => id)).toEqual(["plugin-not-ready"]);
    expect(findings[0]?.text).toMatch(what === "full" ? /No space left on device/ : /Read-only file system/);
    host.node.sh("umount /run/tortie");
    expect(host.doctor().findings).toEqual([]);
    host.expectNeighbourServed();
  });

  test("missing-block: the files of blocks are gone, or all that IPAM stores", () => {
    for (const lost of ["/run/tortie/ipam/blocks/*", "/run/tortie/ipam"]) {
      host.node.sh(`rm -r ${lost}`);
      const { findings } = host.doctor();
      expect(findings.map(({ id }) => id)).toEqual(["missing-block"]);
      expect(host.doctor({ fix: true }).findings).toEqual([]);
      host.expectNeighbourServed();
    }
  });

  test("temporary-file-left: a write was killed", () => {
    host.node.sh("install -m 600 /dev/null /run/tortie/endpoints/.tmp-0011223344556677");
    host.expectRepaired("temporary-file-left", /a process was killed while it wrote it/);
    host.node.sh("install -m 600 /dev/null /run/tortie/ipam/blocks/.tmp-0011223344556677");
    host.expectRepaired("temporary-file-left", /a process was killed while it wrote it/);
  });

  test("mode-wrong, owner-wrong: others may read a record, or own a directory", () => {
    host.node.sh(`chmod 644 ${host.neighbour.record}`);
    host.expectRepaired("mode-wrong", /has mode 0644, wanted 0600/);
    host.node.sh("chown 1000 /run/tortie/ipam");
    host.expectRepaired("owner-wrong", /belongs to user 1000/);
  });

  test("damaged objects are rebuilt, and kept aside for a person to look at", () => {
    host.node.sh("for file in /run/tortie/ipam/handles/*; do truncate -s 20 $file; done");
    const { exitCode, findings } = host.doctor();
    expect({ exitCode, ids: [...new Set(findings.map(({ id }) => id))] }).toEqual({
      exitCode: 3,
      ids: ["damaged-object"],
    });
    const repaired = host.doctor({ fix: true });
    expect(repaired.exitCode).toBe(0);
    expect(repaired.findings.map(({ id, severity }) => `${severity} ${id}`)).toEqual(["warning damaged-file-kept"]);
    host.expectNeighbourServed();
    host.node.sh(String(repaired.findings[0]?.remedy));
    expect(host.doctor()).toMatchObject({ exitCode: 0, findings: [] });
  });

  test("a damaged block is rebuilt, and the neighbour keeps its address", () => {
    host.node.sh("for file in /run/tortie/ipam/blocks/*; do truncate -s 200 $file; done");
    expect(host.doctor().findings.map(({ id }) => id)).toContain("damaged-object");
    const repaired = host.doctor({ fix: true });
    expect(repaired).toMatchObject({ exitCode: 0 });
    host.expectNeighbourServed();
  });

  test("a lock of another file system is nobody's, whatever its inode", async () => {
    // The holder's number is that of a process that ended, and may be another one's by now.
    const inode = host.node.sh("stat -c %i /run/tortie/ipam.lock").trim();
    const file = host.node.sh(`mkdir /run/other; mount -t tmpfs other /run/other
      for n in $(seq 2000); do
        file=/run/other/$n; : > $file
        if [ $(stat -c %i $file) = ${inode} ]; then printf %s $file; exit; fi
      done; exit 1`);
    const holder = host.node.start(["flock", file, "sh", "-c", "echo held; sleep 600"]);
    await new Promise((resolve) => holder.stdout?.once("data", resolve));
    expect(host.doctor()).toMatchObject({ exitCode: 0, findings: [] });
  });

  test("lock-held: a process that does not go on", async () => {
    const holder = host.node.start(["flock", "/run/tortie/ipam.lock", "sh", "-c", "echo held; sleep 600"]);
    await new Promise((resolve) => holder.stdout?.once("data", resolve));
    const { exitCode, findings } = host.doctor();
    expect(exitCode).toBe(3);
    expect(findings.map(({ id }) => id)).toEqual(["lock-held"]);
    expect(findings[0]?.text).toMatch(/is held by process \d+ \(flock\)/);
    host.node.sh(String(findings[0]?.remedy).replace(/#.*/, ""));
    host.node.sh("kill $(cat /proc/[0-9]*/stat | sed -n 's/^\\([0-9]*\\) (sleep) .*/\\1/p')");
    await expect.poll(() => host.doctor().findings, { timeout: 20_000 }).toEqual([]);
  });
});

describe("what was installed", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tortie-doctor-bin-"));
    for (const name of suite) copyFileSync(join(ourPluginDir, name), join(directory, name));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });
  const look = (options = {}) => host.doctor({ binDirs: [directory, goPluginDir], ...options });

  test("executable-missing, executable-broken: each is linked from another or made executable", () => {
    rmSync(join(directory, "portmap"));
    writeFileSync(join(directory, "bandwidth"), "no program\n");
    host.node.sh(`chmod 644 ${join(directory, "calico-ipam")}`);
    // Debian's portmap, in a later directory, is used instead.
    const found = host.doctor({ binDirs: [directory] });
    expect(found.exitCode).toBe(3);
    expect(found.findings.map(({ id, subject }) => `${id} ${subject}`).sort()).toEqual([
      `executable-broken ${directory}/bandwidth`,
      `executable-broken ${directory}/calico-ipam`,
      "executable-missing portmap",
    ]);
    expect(host.doctor({ binDirs: [directory], fix: true })).toMatchObject({ exitCode: 0, findings: [] });
    host.expectNeighbourServed();
  });

  test("executable-foreign: another's plugin under a name of ours is a warning", () => {
    rmSync(join(directory, "portmap"));
    const file = join(directory, "10-x.conflist");
    // The versions that Debian's plugins support.
    writeFileSync(file, JSON.stringify({ ...JSON.parse(host.list.text), cniVersion: "1.0.0", cniVersions: [] }));
    const { exitCode, findings } = look({ conflist: file });
    expect({ exitCode, ids: findings.map(({ id }) => id) }).toEqual({ exitCode: 0, ids: ["executable-foreign"] });
  });

  test("a foreign plugin whose CHECK crashes tells nothing about the pod", () => {
    const path = join(directory, "bandwidth");
    rmSync(path);
    const answer = '{"cniVersion":"1.0.0","supportedVersions":["1.0.0","1.1.0"]}';
    const script = `[ $CNI_COMMAND = VERSION ] && echo '${answer}' && exit; printf 'panic: nil\\n\\ngoroutine 1' >&2; exit 2`;
    writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const { findings, remarks } = look();
    expect(findings.map(({ id }) => id)).toEqual(["executable-foreign"]);
    expect(remarks.join()).toMatch(/"bandwidth" .*its CHECK ended without an answer: exit status 2: panic: nil$/);
  });

  test("network-broken, network-refused: for a person to change, told in the plugin's words", () => {
    const file = join(directory, "10-x.conflist");
    writeFileSync(file, "{");
    const broken = look({ conflist: file });
    expect(broken).toMatchObject({ exitCode: 3, findings: [{ id: "network-broken" }] });
    expect(broken.findings[0]?.text).toMatch(/^cannot be read as a network: it is not JSON: .* at line 1, column 2: /);
    const text = host.list.text.replace(/"mtu": \d+/, '"mtu": "large"');
    writeFileSync(file, text);
    const { exitCode, findings } = look({ conflist: file });
    expect(exitCode).toBe(3);
    expect(findings.map(({ id }) => id)).toEqual(["network-refused"]);
    expect(findings[0]?.text).toContain('"mtu" must be an integer, not "large"');
    expect(look({ conflist: file, fix: true })).toMatchObject({ exitCode: 3, notes: [] });
  });

  test("plugin-not-ready: no address is left", () => {
    const tortie = (line: string, stdin = "") =>
      host.node.run([process.execPath, join(root, "dist/tortie.js"), ...line.split(" ")], { stdin });
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
