/** The doctor offers the repairs that it can do, and reports what it did not check, and why. */
import { expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { doctor } from "../lib/node/doctor.ts";
import { Node } from "../lib/node/netns.ts";
import { Runner } from "../lib/runtimes/runner.ts";
import { example, ourPluginDir, pluginDirs, requireBuild, root } from "../lib/suite.ts";

const list = loadConflist(example("10-calico.conflist"));

/** A node with a pod that has host port 8080. */
async function withPod(body: (node: Node) => void): Promise<void> {
  requireBuild();
  const node = await Node.start();
  try {
    const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];
    const sandbox = { containerId: "web-0a1b2c", netns: node.addPod("web"), ifname: "eth0" };
    new Runner({ node, pluginDirs }).add(list, { ...sandbox, capabilities: { portMappings } });
    body(node);
  } finally {
    await node.stop();
  }
}

test("tortie doctor does not call attachments healthy whose plugin's executable is gone", () =>
  withPod((node) => {
    const directory = node.sh("mktemp -d").trim();
    node.sh(
      `cp ${ourPluginDir}/calico ${directory}/ && ln ${directory}/calico ${directory}/calico-ipam && ln ${directory}/calico ${directory}/bandwidth`,
    );
    const { findings, remarks } = doctor(node, { binDirs: [directory], probe: false });
    expect(findings).toMatchObject([{ id: "executable-missing", subject: "portmap" }]);
    expect(remarks).toEqual([
      `k8s-pod-network/web-0a1b2c/eth0: what plugin "portmap" made is not checked: its executable is in none of ${directory}`,
    ]);
  }));

test("tortie doctor does not offer to repair an address that cannot be recorded, and names the remedy", () =>
  withPod((node) => {
    const address = "192.168.77.7";
    node.addPod("stray");
    node.sh(
      `ip -n stray link add eth7 type veth peer name eth8; ip -n stray address add ${address}/32 dev eth7; ip -n stray link set eth7 up`,
    );
    const { findings } = doctor(node, { probe: false });
    expect(findings).toMatchObject([{ id: "unknown-address", subject: address, fixable: false }]);
    expect(findings[0]?.remedy).toMatch(/^# .*IPReservation/);
    expect(doctor(node, { fix: true, probe: false })).toMatchObject({ exitCode: 3, notes: [] });
    // The remedy.
    const spec = { reservedCIDRs: [`${address}/32`] };
    const reservation = {
      apiVersion: "projectcalico.org/v3",
      kind: "IPReservation",
      metadata: { name: "stray" },
      spec,
    };
    node.sh(`${process.execPath} ${root}/dist/tortie.js apply -f -`, { stdin: JSON.stringify(reservation) });
    expect(doctor(node, { probe: false })).toMatchObject({ exitCode: 0, findings: [] });
  }));

test("tortie doctor does not report addresses as outside of all pools while a pool is unreadable", () =>
  withPod((node) => {
    node.sh("echo '{' >/var/lib/tortie/ippools/default-ipv4-ippool.json");
    const { findings, remarks } = doctor(node, { probe: false });
    expect(findings).toMatchObject([{ id: "damaged-object", subject: "IPPool default-ipv4-ippool", fixable: false }]);
    expect(remarks).toContainEqual("whether a pool holds each address is not checked while a pool cannot be read");
    node.sh(`${process.execPath} ${root}/dist/tortie.js delete ippool default-ipv4-ippool --force`);
    expect(doctor(node, { probe: false }).findings.map(({ id }) => id)).toEqual([
      "damaged-file-kept",
      "address-outside-pools",
    ]);
  }));

test("a pool with a field that no pool can have is one problem, with that field", () =>
  withPod((node) => {
    node.sh(`sed -i 's/"cidr": *"[^"]*"/"cidr": "banana"/' /var/lib/tortie/ippools/default-ipv4-ippool.json`);
    const { findings } = doctor(node, { probe: false });
    expect(findings.map(({ id, text }) => `${id}: ${text}`)).toEqual([
      'damaged-object: cannot be used: its spec.cidr is "banana", want a CIDR',
    ]);
  }));

test("tortie doctor --fix --dry-run says that repairs may reveal more", () =>
  withPod((node) => {
    node.sh("nft flush ruleset");
    const { stdout } = node.run([
      ...[process.execPath, `${root}/dist/tortie.js`, "doctor", "--fix", "--dry-run", "--no-probe", "--grace", "0"],
      ...["--bin-dir", ourPluginDir],
    ]);
    expect(stdout).toContain("called ADD of portmap for k8s-pod-network/web-0a1b2c/eth0 (dry run)\n");
    expect(stdout).toContain("checked again, and repaired what these repairs revealed");
  }));
