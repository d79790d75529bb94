/** The input that `-f` accepts, the errors for invalid input, and the selectors of `get`. */
import { describe, expect, test } from "vitest";
import { jsonFault } from "../../../src/cli/resources/json-fault.ts";
import { parseLabels } from "../../../src/cli/resources/labels.ts";
import { World } from "./world.ts";

function pool(name: string, cidr: string, labels: object = {}): string {
  const metadata = { name, labels };
  return JSON.stringify({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata, spec: { cidr } });
}

function world(files: Readonly<Record<string, string>>): World {
  const made = new World();
  for (const [path, text] of Object.entries(files)) made.write(path, text);
  return made;
}

const directory = {
  "/pools/b.yaml": pool("b", "10.2.0.0/24"),
  "/pools/a.json": pool("a", "10.1.0.0/24"),
  "/pools/README.md": "no resource",
  "/pools/more/c.yml": pool("c", "10.3.0.0/24"),
  "/pools/10-net.conflist": "{}",
};

describe("tortie apply -f", () => {
  test.each([
    ["-f /pools", ["a", "b"]],
    ["-f /pools/ -R", ["a", "b", "c"]],
    ["-f /pools/more -f /pools/a.json", ["c", "a"]],
    ["-f/pools/more/c.yml", ["c"]],
    ["-f - -f /pools/a.json", ["d", "a"]],
  ])("apply %s", async (options, names) => {
    const { status, stdout } = await world(directory).run(`apply ${options}`, pool("d", "10.4.0.0/24"));
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: names.map((name) => `IPPool "${name}" created\n`).join(""),
    });
  });

  test("delete takes directories, too", async () => {
    const one = world(directory);
    await one.run("apply -f /pools");
    expect((await one.run("delete -f /pools")).stdout).toMatch(/^IPPool "a" deleted.*\nIPPool "b" deleted/);
  });

  test.each([
    ["-f /nowhere", 1, 'cannot read "/nowhere": '],
    ["-f /empty", 1, 'cannot read "/empty": no file of the directory has the extension .yaml, .yml or .json'],
    [
      "-f https://example.com/pool.yaml",
      2,
      'cannot read "https://example.com/pool.yaml": files are not downloaded; use curl',
    ],
    ["-f /pools/10-net.conflist", 1, "cannot apply"],
  ])("apply %s is refused", async (options, status, reason) => {
    const one = world({ ...directory, "/empty/README.md": "" });
    one.write("/pools/10-net.conflist", '{"name":"n","plugins":[]}');
    const outcome = await one.run(`apply ${options}`);
    expect(outcome.status).toBe(status);
    expect(outcome.stderr).toContain(reason);
  });
});

describe("tortie validate -f a network configuration", () => {
  const good = { name: "net", cniVersion: "1.0.0", plugins: [{ type: "calico", ipam: { type: "calico-ipam" } }] };
  const bad = {
    ...good,
    plugins: [{ type: "calico", mttu: 1, ipam: { type: "calico-ipam", ipv4_pool: [] } }, { type: "tuning" }],
  };

  test("a good one is valid", async () => {
    expect(await world({ "/n/a.conflist": JSON.stringify(good) }).run("validate -f /n/a.conflist")).toEqual({
      status: 0,
      stdout: 'network "net" valid\n',
      stderr: "",
    });
  });

  test("of a bad one prints a line per mistake, and what was not checked is said", async () => {
    expect(await world({ "/n/a.conflist": JSON.stringify(bad) }).run("validate -f /n/a.conflist")).toEqual({
      status: 1,
      stdout: "",
      stderr: `\
tortie: cannot validate "/n/a.conflist": plugins[0].mttu: calico does not have this key (did you mean "mtu"?)
tortie: cannot validate "/n/a.conflist": plugins[0].ipam.ipv4_pool: calico-ipam does not have this key (did you mean "ipv4_pools"?)
tortie: not checked in "/n/a.conflist", because the plugins are foreign: plugins[1] (tuning)
`,
    });
  });

  test("from a pipe, in a directory, beside resources", async () => {
    expect((await new World().run("validate -f -", JSON.stringify(good))).stdout).toBe('network "net" valid\n');
    const files = {
      "/n/a.conflist": JSON.stringify(good),
      "/n/b.yaml": pool("b", "10.2.0.0/24"),
      "/n/c.conf": JSON.stringify(bad),
    };
    const { status, stdout, stderr } = await world(files).run("validate -f /n");
    expect({ status, stdout }).toEqual({ status: 1, stdout: 'network "net" valid\nIPPool "b" valid\n' });
    expect(stderr).toContain('"/n/c.conf": plugins[0].mttu');
  });

  test("must be JSON, for runtimes read nothing else", async () => {
    const { status, stderr } = await world({ "/n/a.conflist": "name: net\nplugins: []\n" }).run(
      "validate -f /n/a.conflist",
    );
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining('"/n/a.conflist": it is not JSON: '),
    });
  });
});

describe("jsonFault()", () => {
  test.each([
    ['{\n  "a": 1\n', /^(unexpected end of JSON input|expected ',' or '}' after property value)/i],
    ['{\n  "a": 1,\n}\n', /line 3, column 1$/],
    ['[{"a": tru}]', /unexpected token/],
  ])("%j", (text, wanted) => {
    expect(jsonFault(text)).toMatch(wanted);
  });

  test.each(["a: 1", '{"a": 1}', "{a: 1", "", "- {"])("%j was never meant to be JSON, or is", (text) => {
    expect(jsonFault(text)).toBeUndefined();
  });

  test("apply says it in words of JSON", async () => {
    const { stderr } = await new World().run("apply -f -", '{\n  "kind": "IPPool",\n  "spec": {"cidr": 1\n');
    expect(stderr).toMatch(/^tortie: cannot read standard input: /);
    expect(stderr).not.toContain("low map");
  });
});

describe("tortie get", () => {
  const labelled = async () => {
    const one = world({});
    await one.run(
      "apply -f -",
      [pool("a", "10.1.0.0/24", { zone: "x" }), pool("b", "10.2.0.0/24", { zone: "y", old: "" })].join("\n---\n"),
    );
    return one;
  };

  test.each([
    ["-l zone=x", "ippool/a\n"],
    ["-l zone==y,old", "ippool/b\n"],
    ["-l zone!=x", "ippool/b\n"],
    ["--selector !old", "ippool/a\n"],
    ["-l zone=z", ""],
  ])("ippools %s -o name", async (options, stdout) => {
    expect(await (await labelled()).run(`get ippools ${options} -o name`)).toEqual({ status: 0, stdout, stderr: "" });
  });

  test.each([
    ["ippools -A", "cannot get IPPool by -A: resources of this kind have no namespace; omit -A out"],
    ["ippools -n default", "cannot get IPPool by -n: resources of this kind have no namespace; omit -n out"],
    ["wep -A -n default", "--all-namespaces and --namespace cannot be combined"],
    ["ippools -l =x", 'cannot select by "=x": wanted "key=value"'],
    ["ippools -l !a=x", 'cannot select by "!a=x"'],
  ])("%s is refused", async (options, reason) => {
    const { status, stderr } = await new World().run(`get ${options}`);
    expect(status).toBe(2);
    expect(stderr).toContain(reason);
  });

  test("workloadendpoints by namespace", async () => {
    const record = (namespace: string) =>
      JSON.stringify({ kind: "WorkloadEndpoint", metadata: { name: "web", namespace }, spec: { ipNetworks: [] } });
    const one = world({
      "/run/tortie/endpoints/a.json": record("default"),
      "/run/tortie/endpoints/b.json": record("other"),
    });
    const both = "workloadendpoint/default/web\nworkloadendpoint/other/web\n";
    expect((await one.run("get wep -o name")).stdout).toBe(both);
    expect((await one.run("get wep -A -o name")).stdout).toBe(both);
    expect((await one.run("get wep -n other -o name")).stdout).toBe("workloadendpoint/other/web\n");
    expect((await one.run("get workloadendpoint/other/web -o name")).stdout).toBe("workloadendpoint/other/web\n");
  });

  test("labels of the parser: a key with a slash, spaces", () => {
    const labels = { "projectcalico.org/namespace": "default" };
    expect(parseLabels("projectcalico.org/namespace = default, !x")(labels)).toBe(true);
    expect(parseLabels("projectcalico.org/namespace!=default")(labels)).toBe(false);
  });
});
