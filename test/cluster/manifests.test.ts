/** `conf-examples/kubernetes` on a real API server: it takes every manifest, and our CustomResourceDefinitions take what Calico wrote. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseJson, stringifyJson } from "../../src/store/json.ts";
import { tortie } from "../lib/cluster/command.ts";
import { Etcd, etcdIsMissing } from "../lib/cluster/etcd.ts";
import { KubeApiserver } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { createNode } from "../lib/cluster/kubernetes-objects.ts";
import { root } from "../lib/suite.ts";

const whyNot = etcdIsMissing ?? kubeApiserverIsMissing;
const examples = join(root, "conf-examples/kubernetes");
const recordings = join(root, "test/fixtures/calico-newest/kubernetes");
const calico = "/apis/crd.projectcalico.org/v1";

interface Recorded {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: object;
}

describe.skipIf(whyNot !== undefined)(`the manifests${whyNot ? `: ${whyNot}` : ""}`, () => {
  let api: KubeApiserver;

  beforeAll(async () => {
    api = await KubeApiserver.start({ schemas: false });
  }, buildTimeoutMs);
  afterAll(() => api?.stop());

  test.each(["crds.yaml", "rbac.yaml", "tortie-node.yaml", "cni-kubeconfig.yaml"])(
    "a server takes %s, every field of it",
    async (file) => {
      await api.applyOnServer(join(examples, file), { dryRun: true });
      await api.applyOnServer(join(examples, file));
    },
  );

  test("a server takes the definitions of the native group too", async () => {
    const { stdout } = await tortie({}, "crds --api-group projectcalico.org/v3");
    const directory = mkdtempSync(join(tmpdir(), "tortie-crds-"));
    try {
      writeFileSync(join(directory, "crds.yaml"), stdout);
      await api.applyOnServer(join(directory, "crds.yaml"));
    } finally {
      rmSync(directory, { recursive: true });
    }
    await api.until("/apis/projectcalico.org/v3/ipamconfigurations", () => true);
  });

  test("what Calico wrote is stored unchanged", async () => {
    for (const kind of ["ipamblocks", "ipamhandles", "blockaffinities", "ippools"])
      await api.until(`${calico}/${kind}`, () => true);
    const objects = readdirSync(recordings)
      .filter((file) => file.endsWith(".objects.json"))
      .flatMap((file) => itemsOf(parseJson(readFileSync(join(recordings, file), "utf8"))));
    const last = new Map(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object]));
    expect(last.size).toBeGreaterThan(10);
    for (const { kind, metadata, spec } of last.values()) {
      const { name, annotations, labels } = metadata as Recorded["metadata"] & Readonly<Record<string, unknown>>;
      const object = { apiVersion: "crd.projectcalico.org/v1", kind, metadata: { name, annotations, labels }, spec };
      const { status, text } = await api.call("POST", `${calico}/${pluralOf(kind)}`, stringifyJson(object));
      expect({ status, text: status === 201 ? "" : text }).toEqual({ status: 201, text: "" });
      expect((parseJson(text) as Recorded).spec).toEqual(spec);
    }
  });

  test("a pool's range stays as it is", async () => {
    const [pool] = (await api.json<{ readonly items: readonly Recorded[] }>("GET", `${calico}/ippools`)).items;
    const changed = { ...pool, spec: { ...pool?.spec, cidr: "10.99.0.0/16" } };
    const { status, text } = await api.call("PUT", `${calico}/ippools/${pool?.metadata.name}`, changed);
    expect(status).toBe(422);
    expect(text).toContain("create another pool");
  });

  test("addresses move from etcd into Kubernetes, exact, and the cluster is the same", async () => {
    const etcd = await Etcd.start();
    try {
      const keys = JSON.parse(
        readFileSync(join(root, "test/fixtures/calico-newest/etcd/05-add-d-ip.keys.json"), "utf8"),
      ) as Readonly<Record<string, string>>;
      for (const [key, value] of Object.entries(keys)) await etcd.put(key, value);
      await api.clear();
      for (const name of ["node-b", "rig-node"]) await createNode(api, name);
      const [from, to] = [{ ETCD_ENDPOINTS: etcd.endpoint }, { KUBECONFIG: api.kubeconfig }];
      expect((await tortie(from, "datastore migrate export")).stderr).toContain("the datastore is not locked");
      expect((await tortie(from, "datastore migrate lock")).stdout).toBe("Datastore locked.\n");
      const { stdout } = await tortie(from, "datastore migrate export");
      const done = await tortie(to, "datastore migrate import -f -", stdout);
      expect(done).toMatchObject({ status: 0, stderr: "" });
      expect(readFileSync(join(root, "docs/cli.md"), "utf8")).toContain(`import -f all.yaml\n${done.stdout}`);
      expect((await tortie(to, "datastore migrate import -f -", stdout)).stdout).toContain("0 objects written");
      for (const line of ["ipam show --show-blocks", "get ippool -o wide", "get node -o wide"])
        expect((await tortie(to, line)).stdout).toBe((await tortie(from, line)).stdout);
      const sequences = (text: string) => [...text.matchAll(/"sequenceNumber": (\d+)/g)].map(([, number]) => number);
      const blocks = await Promise.all(
        [from, to].map(async (one) => (await tortie(one, "get ipamblock -o json")).stdout),
      );
      expect(sequences(blocks[1] ?? "")).toEqual(sequences(blocks[0] ?? ""));
      expect((await tortie(to, "get clusterinformation -o yaml")).stdout).toContain("clusterGUID: fixture");
      expect((await tortie(to, "datastore migrate unlock")).stdout).toBe("Datastore unlocked.\n");
    } finally {
      await etcd.stop();
    }
  });
});

function itemsOf(recorded: unknown): readonly Recorded[] {
  if (Array.isArray(recorded)) return recorded.flatMap(itemsOf);
  if (typeof recorded !== "object" || recorded === null) return [];
  if ("spec" in recorded && "kind" in recorded) return [recorded as Recorded];
  return Object.values(recorded).flatMap(itemsOf);
}

function pluralOf(kind: string): string {
  return kind === "BlockAffinity" ? "blockaffinities" : `${kind.toLowerCase()}s`;
}
