/** The request of each plugin of a chain, where it is known from, and how it is repeated. */
import { expect, test } from "vitest";
import { chainOf, type Tools } from "../../../../src/cli/doctor/chain.ts";
import type { ChangingFacts } from "../../../../src/cli/doctor/diagnosis.ts";
import type { Difference } from "../../../../src/cli/doctor/difference.ts";
import type { ChainCall, Finding } from "../../../../src/cli/doctor/finding.ts";
import type { Trace } from "../../../../src/cli/doctor/sandboxes.ts";
import type { Part } from "../../../../src/endpoint/part.ts";
import { ownerOf } from "../../../../src/identity/attachment.ts";
import { diagnose, type NodeModel, nodeWith, type Pod } from "./model.ts";

const attachment = { network: "net", containerId: "a-0a", ifname: "eth0" };
const portMappings = [{ hostPort: 8000, containerPort: 80, protocol: "tcp" }];
const asked = {
  calico: { mtu: 1400, ipam: { type: "calico-ipam" } },
  bandwidth: { runtimeConfig: { bandwidth: { ingressRate: 8000, ingressBurst: 8000 } } },
  portmap: { runtimeConfig: { portMappings } },
};

function part(type: keyof typeof asked): Part {
  return {
    type,
    attachment,
    netns: "/run/netns/a",
    origin: undefined,
    args: "K8S_POD_NAMESPACE=default;K8S_POD_NAME=a;K8S_POD_UID=7",
    document: { cniVersion: "1.1.0", name: "net", type, ...asked[type] },
  };
}

/** A node with a pod that has these recorded parts and these differences. */
function nodeOf(
  change: Partial<Pod>,
  types: readonly (keyof typeof asked)[],
  differences: readonly Difference[] = [],
  ageSeconds = 3600,
): NodeModel {
  const node = nodeWith("a");
  Object.assign(node.pods[0] as Pod, { ifb: "missing", ...change });
  node.change = (moving): ChangingFacts => ({
    ...moving,
    parts: types.map((type) => ({
      path: `/run/tortie/parts/net:a-0a:eth0:${type}.json`,
      ageSeconds,
      attachment,
      part: part(type),
      fault: undefined,
    })),
    checks: { byOwner: new Map([[ownerOf(attachment), differences]]), unknown: new Map() },
  });
  return node;
}

function callsOf(finding: Finding | undefined): readonly ChainCall[] {
  return finding?.fix?.kind === "chain" ? finding.fix.calls : [];
}

const all = ["calico", "bandwidth", "portmap"] as const;
const missing = (text: string) => ({ kind: "address", text });

test("tortie doctor: a pod that has lost its interface gets ADD of the whole chain, in its order, as the runtime asked it", () => {
  const { findings } = diagnose(nodeOf({ link: "missing" }, ["portmap", "calico", "bandwidth"]));
  expect(findings.map(({ id }) => id)).toEqual(["attachment-broken"]);
  const calls = callsOf(findings[0]);
  expect(calls.map(({ path, command }) => `${command} ${path}`)).toEqual(all.map((type) => `ADD /opt/cni/bin/${type}`));
  expect(calls.map(({ document }) => document)).toMatchObject(all.map((type) => asked[type]));
  expect(calls[0]?.args).toBe("K8S_POD_NAMESPACE=default;K8S_POD_NAME=a;K8S_POD_UID=7;IP=10.0.0.0");
  // The doctor's additions are not part of the runtime's request.
  expect(calls.map((call) => call.part)).toEqual(all.map(part));
});

test("tortie doctor: as shell commands, each plugin gets the result of the one before", () => {
  const lines = diagnose(nodeOf({ link: "missing" }, all)).findings[0]?.remedy.split("\n") ?? [];
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/^r=\$\(echo '\{.*\}' \| CNI_COMMAND=ADD .* \/opt\/cni\/bin\/calico\)$/);
  expect(lines[2]).toMatch(/^echo '\{.*,"prevResult":'"\$r"'\}' \| CNI_COMMAND=ADD .* \/opt\/cni\/bin\/portmap$/);
});

test.each<[string, string, string]>([
  ["portmap", "host-ports-different", "firewall"],
  ["bandwidth", "limits-different", "limits"],
])("what %s alone finds different, it alone makes again, of the result that is there", (plugin, id, section) => {
  const { findings } = diagnose(nodeOf({}, all, [{ plugin, found: ["x is missing", "y is missing"].map(missing) }]));
  expect(findings).toMatchObject([{ id, section, subject: "net/a-0a/eth0", severity: "error" }]);
  expect(findings[0]?.text).toMatch(/: x is missing; y is missing$/);
  const calls = callsOf(findings[0]);
  expect(calls).toHaveLength(1);
  expect(calls[0]?.document).toMatchObject({
    type: plugin,
    prevResult: {
      cniVersion: "1.1.0",
      interfaces: [{ name: "calia" }, { name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/a" }],
      ips: [{ address: "10.0.0.0/32", interface: 1 }],
    },
  });
});

test("tortie doctor: an interface that exists keeps its MTU and its MAC address, and only its own plugin is called", () => {
  const { findings } = diagnose(
    nodeOf({}, all, [{ plugin: "calico", found: [{ kind: "up", at: "host", text: "link calia is down" }] }]),
  );
  const calls = callsOf(findings.find(({ id }) => id === "attachment-different"));
  expect(calls).toHaveLength(1);
  expect(calls[0]?.document).toMatchObject({ mtu: 0, runtimeConfig: { mac: "02:00:00:00:00:01" } });
});

test("tortie doctor: a network that is no longer configured does not hide what the record says", () => {
  const node = nodeOf({ link: "missing" }, all);
  node.settled = { ...node.settled, networks: { ...node.settled.networks, files: [] } };
  expect(callsOf(diagnose(node).findings.find(({ id }) => id === "attachment-broken")).map(({ path }) => path)).toEqual(
    all.map((type) => `/opt/cni/bin/${type}`),
  );
});

test("tortie doctor: a dead attachment with parts gets a DEL of each plugin", () => {
  const { findings } = diagnose(nodeOf({ hasNamespace: false }, all));
  const fix = findings.find(({ id }) => id === "attachment-left")?.fix;
  expect(fix?.kind === "plugins" ? fix.calls.map(({ command, path }) => `${command} ${path}`) : []).toEqual(
    [...all].reverse().map((type) => `DEL /opt/cni/bin/${type}`),
  );
});

test("tortie doctor: plugins without a part are reported", () => {
  const node = nodeOf({}, all, [{ plugin: "portmap", found: [missing("x is missing")] }]);
  const { change } = node;
  node.change = (moving) => {
    const changed = change(moving);
    return {
      ...changed,
      checks: {
        ...changed.checks,
        unknown: new Map([[ownerOf(attachment), [{ plugin: "sbr", reason: "its request was not recorded" }]]]),
      },
    };
  };
  const { findings, notes } = diagnose(node);
  expect(findings).toHaveLength(1);
  expect(notes).toEqual([
    {
      section: "attachments",
      subject: "net/a-0a/eth0",
      text: 'what plugin "sbr" made is not checked: its request was not recorded',
    },
  ]);
});

test("tortie doctor: a part that cannot be read is reported and removed", () => {
  const node = nodeWith("a");
  const path = "/run/tortie/parts/net:a-0a:eth0:portmap.json";
  node.change = (moving) => ({
    ...moving,
    parts: [{ path, ageSeconds: 3600, attachment, part: undefined, fault: "Unexpected end of JSON input" }],
  });
  expect(diagnose(node).findings).toMatchObject([
    { id: "part-damaged", subject: path, fix: { kind: "remove", paths: [path] } },
  ]);
});

test("chainOf() of a main plugin without an endpoint has no request where only the runtime knows its result, configured or not", () => {
  const ptp = { ...part("portmap"), type: "ptp" };
  const document = { name: "net", cniVersion: "1.0.0", type: "ptp" };
  const network = { name: "net", cniVersion: "1.0.0", plugins: [{ type: "ptp", document }] };
  for (const files of [[], [{ path: "/etc/cni/net.d/10-net.conflist", network }]]) {
    const trace = { attachment, parts: [ptp], cached: undefined, record: undefined } as unknown as Trace;
    const tools = { networks: { directory: "", files }, executables: { executables: [] } } as unknown as Tools;
    expect(chainOf(trace, tools).members).toEqual([{ type: "ptp", document: undefined, args: ptp.args, part: ptp }]);
  }
});
