/** The accepted fields of a resource: none is dropped silently, and exports of Calico and Kubernetes are accepted. */
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { newBlock } from "../../../src/ipam/model/block.ts";
import { fixture, fixtureWorld, World } from "./world.ts";

const verbs = ["create", "apply", "replace", "validate"] as const;

type Document = Readonly<Record<string, unknown>> & { readonly metadata: object; readonly spec: object };

/** A valid object of each kind. */
const right: Readonly<Record<string, Document>> = {
  IPPool: object("IPPool", "a", { cidr: "10.0.0.0/16", natOutgoing: true }),
  IPReservation: object("IPReservation", "r", { reservedCIDRs: ["10.0.0.0/30"] }),
  IPAMConfig: object("IPAMConfig", "default", { strictAffinity: true }),
  IPAMBlock: JSON.parse(
    JSON.stringify(newBlock("10.0.0.0/30", "host:n", 1n), (_, v) => (typeof v === "bigint" ? 1 : v)),
  ),
  IPAMHandle: object("IPAMHandle", "net.a", { handleID: "net.a", block: {} }),
  BlockAffinity: object("BlockAffinity", "n-10-0-0-0-26", {
    cidr: "10.0.0.0/26",
    node: "n",
    state: "confirmed",
    deleted: "false",
  }),
  WorkloadEndpoint: {
    ...object("WorkloadEndpoint", "n-cni-c1-eth0", {
      orchestrator: "cni",
      workload: "c1",
      node: "n",
      containerID: "c1",
      endpoint: "eth0",
      ipNetworks: ["10.0.0.1/32"],
      interfaceName: "cali1",
      mac: "02:00:00:00:00:01",
    }),
    metadata: {
      name: "n-cni-c1-eth0",
      namespace: "default",
      annotations: { "tortie/network": "net", "tortie/netns": "/run/netns/a" },
    },
  },
  Node: object("Node", "n", {}, "v1"),
  Namespace: object("Namespace", "default", {}, "v1"),
};

function object(kind: string, name: string, spec: object, apiVersion = "projectcalico.org/v3"): Document {
  return { apiVersion, kind, metadata: { name }, spec };
}

/** A world where `replace` finds the object and `create` does not. */
async function worldFor(verb: string, document: Document): Promise<World> {
  const world = new World();
  if (verb === "replace") expect(await world.run("create -f -", JSON.stringify(document))).toMatchObject({ status: 0 });
  return world;
}

/** Without the lock, which a command may take before it refuses. */
function filesOf(world: World): string {
  return world.machine.files.print().replace(/\/run\/tortie\/ipam\.lock: ?\n?/, "");
}

const kinds = Object.keys(right);
const formats = [JSON.stringify, (value: unknown) => stringify(value)] as const;

describe.each(kinds)("%s", (kind) => {
  const document = right[kind] as Document;

  test.each(verbs)("is taken by %s as it is right, in YAML and in JSON", async (verb) => {
    for (const format of formats) {
      const world = await worldFor(verb, document);
      expect(await world.run(`${verb} -f -`, format(document))).toMatchObject({ status: 0, stderr: "" });
    }
  });

  test.each<[string, Document, string]>([
    ["at the top", { ...document, spce: {} }, 'unknown field spce (did you mean "spec"?)'],
    [
      "in metadata",
      { ...document, metadata: { ...document.metadata, lables: { a: "b" } } },
      'unknown field metadata.lables (did you mean "labels"?)',
    ],
    ["of another version", { ...document, apiVersion: "projectcalico.org/v1" }, 'not "projectcalico.org/v1"'],
  ])("is refused with an unknown field or value %s, by every verb", async (_, wrong, reason) => {
    for (const verb of verbs) {
      const world = await worldFor(verb, document);
      const before = filesOf(world);
      const outcome = await world.run(`${verb} -f -`, JSON.stringify(wrong));
      expect(outcome).toMatchObject({ status: 1, stdout: "" });
      expect(outcome.stderr).toContain(reason);
      expect(filesOf(world)).toBe(before);
    }
  });
});

describe("tortie apply: an unknown field of a spec", () => {
  test.each<[string, object, string]>([
    ["IPPool", { natOutgoin: true }, 'unknown field spec.natOutgoin (did you mean "natOutgoing"?)'],
    ["IPPool", { nat_outgoing: true }, 'unknown field spec.nat_outgoing (did you mean "natOutgoing"?)'],
    ["IPPool", { color: "blue" }, "unknown field spec.color\n"],
    ["IPReservation", { reservedCidrs: [] }, 'unknown field spec.reservedCidrs (did you mean "reservedCIDRs"?)'],
    ["IPAMConfig", { strictafinity: true }, 'unknown field spec.strictafinity (did you mean "strictAffinity"?)'],
    ["IPAMBlock", { atributes: [] }, 'unknown field spec.atributes (did you mean "attributes"?)'],
    [
      "IPAMBlock",
      { attributes: [{ handleID: "net.a" }] },
      'unknown field spec.attributes[0].handleID (did you mean "handle_id"?)',
    ],
    ["IPAMHandle", { blocks: {} }, 'unknown field spec.blocks (did you mean "block"?)'],
    ["BlockAffinity", { stat: "x" }, 'unknown field spec.stat (did you mean "state"?)'],
    ["WorkloadEndpoint", { ipNetwork: [] }, 'unknown field spec.ipNetwork (did you mean "ipNetworks"?)'],
  ])("of %s %j is refused", async (kind, more, reason) => {
    const document = right[kind] as Document;
    for (const format of formats) {
      const { status, stderr } = await new World().run(
        "apply -f -",
        format({ ...document, spec: { ...document.spec, ...more } }),
      );
      expect(status).toBe(1);
      expect(stderr).toContain(reason);
    }
  });

  test("is told of every document of a file, and nothing is written", async () => {
    const world = new World();
    const wrong = (name: string, field: string) =>
      stringify(object("IPPool", name, { cidr: name === "a" ? "10.0.0.0/16" : "10.1.0.0/16", [field]: true }));
    const fine = stringify(object("IPPool", "c", { cidr: "10.2.0.0/16" }));
    const { status, stderr } = await world.run(
      "apply -f -",
      [wrong("a", "disable"), fine, wrong("b", "nat")].join("---\n"),
    );
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr:
        'tortie: cannot apply IPPool "a": unknown field spec.disable (did you mean "disabled"?)\n' +
        'tortie: cannot apply IPPool "b": unknown field spec.nat (did you mean "natOutgoing"?)\n',
    });
    expect(world.object("IPPool", "c")).toBeUndefined();
  });

  test("is told with everything else that is wrong", async () => {
    const document = { ...object("IPPool", "a", { cider: "10.0.0.0/16", disabled: "no" }), apiVersion: "v3" };
    const { stderr } = await new World().run("validate -f -", JSON.stringify(document));
    expect(stderr).toBe(
      'tortie: cannot validate IPPool "a": ' +
        'apiVersion must be "projectcalico.org/v3" or "crd.projectcalico.org/v1", not "v3"; spec.cidr is missing; ' +
        'spec.disabled must be true or false, not "no"; unknown field spec.cider (did you mean "cidr"?)\n',
    );
  });
});

describe("tortie apply: the export of a Calico cluster", () => {
  const exported = {
    uid: "9bd362ca-891f-4691-b0f7-c2afcd4b1cdd",
    creationTimestamp: "2026-11-27T03:45:19Z",
    generation: 2,
    managedFields: [{ manager: "kubectl", operation: "Update" }],
    annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}", "projectcalico.org/metadata": "{}" },
    ownerReferences: [],
    finalizers: ["x"],
    selfLink: "/x",
  };

  test("goes through: a pool with all its fields, and its status is left out", async () => {
    const spec = {
      cidr: "10.0.0.0/16",
      blockSize: 26,
      ipipMode: "Never",
      vxlanMode: "Never",
      natOutgoing: true,
      disabled: false,
      disableBGPExport: true,
      nodeSelector: "all()",
      allowedUses: ["Workload", "Tunnel"],
      assignmentMode: "Automatic",
    };
    const pool = { ...object("IPPool", "a", spec), metadata: { name: "a", ...exported }, status: { conditions: [] } };
    const world = new World();
    expect(await world.run("apply -f -", JSON.stringify({ ...pool, apiVersion: "crd.projectcalico.org/v1" }))).toEqual({
      status: 0,
      stdout: 'IPPool "a" created\n',
      stderr: "",
    });
    expect(world.object("IPPool", "a")).toMatchObject({ spec, metadata: { annotations: exported.annotations } });
    expect(world.object("IPPool", "a")).not.toHaveProperty("status");
    expect(world.object("IPPool", "a")?.metadata).not.toHaveProperty("managedFields");
  });

  test("goes through: an affinity and the settings as the API of 3.32 has them, and a Kubernetes node", async () => {
    const world = new World();
    const affinity = right.BlockAffinity as Document;
    const documents = [
      { ...affinity, spec: { ...affinity.spec, type: "host", deleted: false } },
      object("IPAMConfiguration", "default", { strictAffinity: false, autoAllocateBlocks: true, maxBlocksPerHost: 0 }),
      {
        ...object("Node", "n", { podCIDR: "10.0.0.0/24", taints: [] }, "v1"),
        metadata: { name: "n", ...exported, labels: { a: "b" } },
        status: { addresses: [] },
      },
    ];
    const list = { apiVersion: "v1", kind: "List", items: documents };
    expect(await world.run("apply -f -", stringify(list))).toMatchObject({ status: 0, stderr: "" });
    expect(world.object("BlockAffinity", "n-10-0-0-0-26")?.spec).toMatchObject({ deleted: "false" });
    expect(world.object("IPAMConfig", "default")?.kind).toBe("IPAMConfig");
  });

  test("goes through: Calico's own block and handle", async () => {
    const block = fixture("ipamblock-192-168-185-0-26.after.json");
    expect(await new World().run("create -f -", block)).toMatchObject({ status: 0, stderr: "" });
  });

  test.each<[object, string]>([
    [{ allowedUses: ["Tunnel"] }, "it assigns no addresses: its allowedUses (Tunnel) do not contain Workload"],
    [
      { allowedUses: ["LoadBalancer"] },
      "it assigns no addresses: its allowedUses (LoadBalancer) do not contain Workload",
    ],
  ])("%j goes through with a warning", async (more, warning) => {
    const document = JSON.stringify(object("IPPool", "a", { cidr: "10.0.0.0/16", ...more }));
    expect(await new World().run("apply -f -", document)).toEqual({
      status: 0,
      stdout: 'IPPool "a" created\n',
      stderr: `tortie: warning: IPPool "a": ${warning}\n`,
    });
    expect((await new World().run("validate -f -", document)).stderr).toContain(warning);
  });

  test("for virtual machines is warned of", async () => {
    const document = JSON.stringify(object("IPAMConfig", "default", { kubeVirtVMAddressPersistence: "Enabled" }));
    const { status, stderr } = await new World().run("apply -f -", document);
    expect(status).toBe(0);
    expect(stderr).toContain("its kubeVirtVMAddressPersistence has no effect");
  });

  test("a tunnel mode that is stored already may stay when the rest changes, with a warning", async () => {
    const document = JSON.parse(fixture("ippool-default-ipv4.json"));
    const spec = { ...document.spec, disabled: true };
    const changed = { ...document, metadata: { name: document.metadata.name }, spec };
    expect(await fixtureWorld().run("apply -f -", JSON.stringify(changed))).toEqual({
      status: 0,
      stdout: 'IPPool "default-ipv4-ippool" updated\n',
      stderr:
        'tortie: warning: IPPool "default-ipv4-ippool": its vxlanMode CrossSubnet has no effect: only nodes of a cluster have tunnels\n',
    });
    const other = { ...changed, spec: { ...spec, vxlanMode: "Always" } };
    expect((await fixtureWorld().run("apply -f -", JSON.stringify(other))).stderr).toContain(
      "its vxlanMode is Always, but only nodes of a cluster have tunnels; set it to Never, or omit it",
    );
  });
});

test("tortie apply: accepts the output of get of each kind without a change", async () => {
  for (const [kind, document] of Object.entries(right)) {
    const world = new World();
    await world.run("create -f -", JSON.stringify(document));
    for (const format of ["yaml", "json"]) {
      const { stdout } = await world.run(`get ${kind} -o ${format}`);
      expect(await world.run("apply -f -", stdout), `${kind} ${format}`).toMatchObject({
        status: 0,
        stdout: expect.stringMatching(/ unchanged\n$/),
        stderr: "",
      });
    }
  }
});
