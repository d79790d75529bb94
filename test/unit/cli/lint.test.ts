/** The findings about a network configuration: all at once, and only about our plugins. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { isNetwork, lintNetwork } from "../../../src/cli/lint/network.ts";
import { knownPlugins } from "../../../src/cli/lint/plugins.ts";
import { FakeNode } from "../../lib/fake/node.ts";
import { World } from "./world.ts";

const usual = { type: "calico", datastore_type: "file", ipam: { type: "calico-ipam" } };

function list(...plugins: readonly object[]) {
  return { name: "net", cniVersion: "1.0.0", plugins };
}

/** Each as `path: text`. */
function findingsOf(document: unknown): readonly string[] {
  return lintNetwork(document).findings.map(({ path, text }) => `${path}: ${text}`);
}

test.each(readdirSync("conf-examples").filter((name) => name.endsWith(".conflist")))(
  "conf-examples/%s has none",
  (name) => {
    expect(findingsOf(JSON.parse(readFileSync(`conf-examples/${name}`, "utf8")))).toEqual([]);
  },
);

test("lintNetwork() reports all mistakes of a conflist at once", () => {
  const plugins = [
    {
      ...usual,
      mttu: 1400,
      log_level: "verbose",
      num_queues: 0,
      nodename_file_optional: "yes",
      container_settings: { allow_ip_forward: true },
      policy: { type: "k8s" },
      ipam: { type: "calico-ipam", ipv4_pool: ["10.0.0.0/24"], assign_ipv4: "maybe" },
    },
    { type: "portmap", snat: "true", capabilities: { portmappings: true } },
    { type: "tuning", sysctll: {} },
  ];
  const { findings, unchecked } = lintNetwork({ ...list(...plugins), disableChek: true });
  expect(unchecked).toEqual(["plugins[2] (tuning)"]);
  expect(findings.filter(({ effect }) => effect === "refused").map(({ path }) => path)).toEqual([
    "plugins[0]",
    "plugins[0].nodename_file_optional",
    "plugins[0].ipam.assign_ipv4",
    "plugins[1].snat",
  ]);
  expect(findings.map(({ path, text }) => ({ path, text }))).toEqual([
    { path: "disableChek", text: 'a list does not have this key (did you mean "disableCheck"?)' },
    {
      path: "plugins[0]",
      text: 'cannot use key "policy.type" with value "k8s": this version enforces no network policy; remove the key',
    },
    { path: "plugins[0].nodename_file_optional", text: 'must be a boolean, not "yes"' },
    { path: "plugins[0].ipam.assign_ipv4", text: 'must be a boolean or "true" or "false", not "maybe"' },
    { path: "plugins[0].mttu", text: 'calico does not have this key (did you mean "mtu"?)' },
    {
      path: "plugins[0].container_settings.allow_ip_forward",
      text: 'calico does not have this key (did you mean "allow_ip_forwarding"?)',
    },
    { path: "plugins[0].ipam.ipv4_pool", text: 'calico-ipam does not have this key (did you mean "ipv4_pools"?)' },
    {
      path: "plugins[0].log_level",
      text: 'is "verbose", which counts as info; must be debug, info, warning or error',
    },
    { path: "plugins[0].num_queues", text: "is 0, which counts as 1" },
    { path: "plugins[1].snat", text: 'must be a boolean, not "true"' },
    {
      path: "plugins[1].capabilities.portmappings",
      text: 'portmap does not have this capability (did you mean "portMappings"?)',
    },
  ]);
});

describe("lintNetwork() of one mistake", () => {
  test.each([
    ["an MTU that is too small", { ...usual, mtu: 20 }, /^plugins\[0\]: cannot use MTU 20 of key "mtu"/],
    [
      "a pool that is none",
      { ...usual, ipam: { type: "calico-ipam", ipv4_pools: ["10.0.0.0/33"] } },
      /ipv4_pools|10\.0\.0\.0\/33/,
    ],
    ["a burst without a rate", { type: "bandwidth", ingressBurst: 8000 }, /if burst is set, rate must also be set/],
    ["no ipam", { type: "calico" }, /^plugins\[0\]\.ipam: is missing$/],
    ["no type", {}, /^plugins\[0\]\.type: must be the name of a plugin$/],
    [
      "another's main plugin with our IPAM",
      { type: "bridge", brdge: "x", ipam: { type: "calico-ipam", ipv4pools: [] } },
      /^plugins\[0\]\.ipam\.ipv4pools: calico-ipam does not have this key/,
    ],
    [
      "a key of the annotation's capability",
      { ...usual, capabilities: { "io.kubernetes.cri.pod-annotation": true } },
      /did you mean "io.kubernetes.cri.pod-annotations"/,
    ],
  ])("%s", (_, plugin, wanted) => {
    const findings = findingsOf(list(plugin));
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatch(wanted);
  });

  test.each([
    ["a name with a space", { ...list(usual), name: "my net" }, "name: must be letters"],
    ["no name", { plugins: [usual], cniVersion: "1.0.0" }, "name: is missing"],
    [
      "an unknown version",
      { ...list(usual), cniVersion: "2.0.0" },
      'cniVersion: is "2.0.0", but the plugins support 0.1.0',
    ],
    ["no plugins", list(), "plugins: must be a list of plugins"],
    ["a plugin that is text", { ...list(), plugins: ["calico"] }, "plugins[0]: must be an object"],
    ["no object", [], ": it is not a JSON object"],
  ])("of the document: %s", (_, document, wanted) => {
    expect(findingsOf(document)).toEqual([expect.stringContaining(wanted)]);
  });
});

test("lintNetwork() accepts any case, null, keys of the specification, Calico's with values that ask for nothing", () => {
  const plugin = {
    ...usual,
    MTU: 1400,
    Nodename: null,
    dns: { nameservers: ["10.0.0.1"] },
    args: { anything: { at: "all" } },
    "cni.dev/attachments": [],
    policy: {},
    kubernetes: {},
    etcd_endpoints: "",
    log_level: "WARNING",
    ipam: { type: "calico-ipam", ASSIGN_IPV6: "true" },
  };
  expect(findingsOf(list(plugin))).toEqual([]);
  expect(findingsOf({ ...plugin, name: "net", cniVersion: "0.3.1" })).toEqual([]);
});

test("lintNetwork() does not check foreign plugins, and says so", () => {
  const ipam = { type: "host-local", rangess: [] };
  expect(lintNetwork(list({ ...usual, ipam }, { type: "tuning", mtuu: 1 }))).toEqual({
    findings: [],
    unchecked: ["plugins[0].ipam (host-local)", "plugins[1] (tuning)"],
  });
});

test("lintNetwork() knows every key of every schema, and refuses a misspelt one", () => {
  for (const [type, { schema }] of Object.entries(knownPlugins)) {
    if (type === "calico-ipam") continue;
    for (const key of Object.keys(schema.properties ?? {})) {
      const plugin = { type, ...("ipam" in (schema.properties ?? {}) && { ipam: usual.ipam }), [`${key}x`]: null };
      expect(findingsOf(list(plugin))).toEqual([
        expect.stringContaining(`plugins[0].${key}x: ${type} does not have this key`),
      ]);
    }
  }
});

test("parseConf() keeps unknown keys", () => {
  const node = new FakeNode();
  node.sandbox("c1");
  expect(node.run("ADD", { conf: { mttu: 1400, ipam: { type: "calico-ipam", ipv4_pool: [] } } }).status).toBe(0);
});

test.each([
  [list(usual), true],
  [{ type: "calico", cniVersion: "1.0.0" }, true],
  [{ apiVersion: "projectcalico.org/v3", kind: "IPPool", plugins: [] }, false],
  [{ name: "net" }, false],
  ["text", false],
])("isNetwork() tells %j from resources: %s", (document, wanted) => {
  expect(isNetwork(document)).toBe(wanted);
});

test("lintNetwork() finds nothing in a Calico cluster's conflist, and names what it lacks when it names no cluster's datastore", () => {
  const conflist = JSON.parse(readFileSync("test/fixtures/10-calico.conflist", "utf8"));
  expect(findingsOf(conflist)).toEqual([]);
  const [calico, ...others] = conflist.plugins;
  const [first, ...rest] = findingsOf({ ...conflist, plugins: [{ ...calico, datastore_type: "file" }, ...others] });
  expect(first).toBe(
    'plugins[0]: has the keys of a Calico cluster, but "datastore_type" names none; set it to "kubernetes" or "etcdv3", or remove these keys; see docs/operations.md',
  );
  expect(rest.length).toBeGreaterThan(1);
  expect(findingsOf(list({ ...usual, datastore_type: "etcd" }))).toHaveLength(1);
});

test("lintNetwork() suggests a plugin of ours for a similar name", () => {
  const { unchecked } = lintNetwork(list({ ...usual, ipam: { type: "calico-ipan" } }, { type: "bandwith" }));
  expect(unchecked).toEqual([
    'plugins[0].ipam (calico-ipan) (did you mean "calico-ipam"?)',
    'plugins[1] (bandwith) (did you mean "bandwidth"?)',
  ]);
});

describe("tortie validate refuses what ADD refuses, with its message", () => {
  test.each<[string, object]>([
    ["no family is wanted", { ipam: { type: "calico-ipam", assign_ipv4: "false" } }],
    ["a node's name with a space", { nodename: "node one" }],
    ["a deprecated host name that is none", { hostname: "Node_1" }],
    ["a pool that is not there", { ipam: { type: "calico-ipam", ipv4_pools: ["nope"] } }],
    ["a pool that is not there, of IPv6", { ipam: { type: "calico-ipam", assign_ipv6: "true", ipv6_pools: ["nope"] } }],
    ["a pool of another family", { ipam: { type: "calico-ipam", ipv4_pools: ["fd00::/64"] } }],
    ["a pool with host bits", { ipam: { type: "calico-ipam", ipv4_pools: ["10.1.2.3/16"] } }],
    ["an MTU that carries no packet", { mtu: 20 }],
  ])("%s", async (_, conf) => {
    const node = new FakeNode();
    node.sandbox("c1");
    const { status, json } = node.run("ADD", { conf });
    expect(status).toBe(1);
    const document = JSON.stringify(list({ ...usual, ...conf }));
    const { status: judged, stdout, stderr } = await new World({ node: "node-1" }).run("validate -f -", document);
    expect({ judged, stdout }).toEqual({ judged: 1, stdout: "" });
    // ADD names the interface that it was attaching, or the family that it rolled back.
    expect(stderr).toContain(`plugins[0]: ${json.msg}`);
  });

  test.each<[string, object]>([
    ["the default pool", {}],
    ["CIDRs on a node without pools", { ipam: { type: "calico-ipam", ipv4_pools: ["10.1.0.0/16"] } }],
    ["addresses by name alone", { capabilities: { ips: true }, ipam: { type: "calico-ipam", assign_ipv4: "false" } }],
  ])("%s: nothing", async (_, conf) => {
    const document = JSON.stringify(list({ ...usual, ...conf }));
    expect(await new World().run("validate -f -", document)).toMatchObject({ status: 0, stderr: "" });
  });

  test("pools that are there are asked", async () => {
    const world = new World().withNode();
    const document = (pool: string) =>
      JSON.stringify(list({ ...usual, ipam: { type: "calico-ipam", ipv4_pools: [pool] } }));
    const pool = {
      apiVersion: "projectcalico.org/v3",
      kind: "IPPool",
      metadata: { name: "blue" },
      spec: { cidr: "10.1.0.0/16" },
    };
    await world.run("apply -f -", JSON.stringify(pool));
    for (const name of ["blue", "10.1.0.0/16"])
      expect(await world.run("validate -f -", document(name))).toMatchObject({ status: 0 });
    expect((await world.run("validate -f -", document("10.2.0.0/16"))).stderr).toContain("create it with: echo ");
  });
});

test.each(["log_file_path", "nodename_file"])(
  "%s that is relative leads to where the runtime runs, and is told",
  (key) => {
    expect(findingsOf(list({ ...usual, [key]: "cni/x.log" }))).toEqual([
      `plugins[0].${key}: is "cni/x.log", below whatever directory the runtime runs in; write a path that begins with "/"`,
    ]);
    expect(findingsOf(list({ ...usual, [key]: "/cni/x.log" }))).toEqual([]);
  },
);
