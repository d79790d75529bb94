import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AsyncDatastore } from "../../src/store/async-datastore.ts";
import { readSettings } from "../../src/store/cluster/settings.ts";
import { parseJson, stringifyJson } from "../../src/store/json.ts";
import { openKubernetes } from "../../src/store/kubernetes/open.ts";
import type { StoredObject } from "../../src/store/object.ts";
import { create, driveAsync, list, read, remove, update } from "../../src/store/transaction.ts";
import { describeContract, type Site } from "../lib/cluster/contract.ts";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { KubeApiserver, token } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { Relay } from "../lib/cluster/relay.ts";
import { storm } from "../lib/cluster/storm.ts";
import { howMany } from "../lib/how-many.ts";
import { root } from "../lib/suite.ts";

const pageSize = 7;
const whyNot = etcdIsMissing ?? kubeApiserverIsMissing;

describe.skipIf(whyNot !== undefined)(`Kubernetes${whyNot ? `: ${whyNot}` : ""}`, () => {
  let api: KubeApiserver;
  let relay: Relay;

  beforeAll(async () => {
    api = await KubeApiserver.start();
    relay = await Relay.start(api.port);
  }, buildTimeoutMs);
  afterAll(async () => {
    relay?.stop();
    await api?.stop();
  });

  const open = (environment: object = {}, options = {}) => {
    const settings = readSettings({ DATASTORE_TYPE: "kubernetes", KUBECONFIG: api.kubeconfig, ...environment });
    if (settings.type !== "kubernetes") throw new Error("these are no settings of Kubernetes");
    return openKubernetes(settings, options, pageSize);
  };
  const site = (environment: object): Site => ({
    relay,
    open: (through, options = {}) =>
      open(
        { ...environment, ...(through === "relay" && { K8S_API_ENDPOINT: `https://127.0.0.1:${relay.port}` }) },
        { timeoutMs: 5000, deadlineMs: 10_000, ...options },
      ),
    clear: () => api.clear(),
    async compact() {
      // A server does not know changes from before its start.
      await api.kill();
      await api.begin();
    },
    forgetsChanges: true,
    writesTogether: false,
    freeze: () => api.signal("SIGSTOP"),
    thaw: () => api.signal("SIGCONT"),
  });

  describeContract("Kubernetes", () => site({}));
  describeContract("Kubernetes by projectcalico.org/v3", () => site({ CALICO_API_GROUP: "projectcalico.org/v3" }));

  const using = async <T>(
    body: (datastore: AsyncDatastore) => Promise<T>,
    environment = {},
    options = {},
  ): Promise<T> => {
    const datastore = await open(environment, { timeoutMs: 5000, ...options });
    try {
      return await body(datastore);
    } finally {
      datastore.close();
    }
  };

  test("nodes and the API server are killed while pods come and go, and no address is lost or given twice", async () => {
    await api.clear();
    const datastore = await open({}, { timeoutMs: 2000, deadlineMs: 20_000 });
    const restart = async () => {
      await api.kill();
      await api.begin();
    };
    const environment = { DATASTORE_TYPE: "kubernetes", KUBECONFIG: api.kubeconfig };
    const pods = await storm({ environment, datastore, restart }, { nodes: 3, kills: howMany(40) });
    expect(pods).toBeGreaterThan(20);
    datastore.close();
  });

  test.each(["by-certificate", "by-token", "by-program"])("the server knows us %s", async (context) => {
    const environment = { K8S_CURRENT_CONTEXT: context };
    expect(await using(({ store }) => driveAsync(list("IPReservation"), store), environment)).toEqual([]);
  });

  test("a program that gives no token in time is given up", async () => {
    const environment = { K8S_CURRENT_CONTEXT: "by-hanging-program" };
    const started = Date.now();
    const config = read({ kind: "IPAMConfig", name: "default" });
    const asked = using(({ store }) => driveAsync(config, store), environment, { timeoutMs: 300, deadlineMs: 600 });
    await expect(asked).rejects.toMatchObject({ name: "Unanswered" });
    expect(Date.now() - started).toBeLessThan(3000);
  });

  test("a stranger is told so, and by which server", async () => {
    const environment = { K8S_CURRENT_CONTEXT: "by-token", K8S_API_TOKEN: "wrong" };
    const refused = using(({ store }) => driveAsync(list("IPPool"), store), environment);
    await expect(refused).rejects.toThrow(`cannot list IPPool "": API server ${api.server}: 401: Unauthorized`);
  });

  test("Calico's block is assigned from with nothing else changed", async () => {
    await api.clear();
    const file = join(root, "test/fixtures/calico-newest/kubernetes/03-del-p1.objects.json");
    const block = (parseJson(readFileSync(file, "utf8")) as { kind: string; metadata: object; spec: object }[]).find(
      ({ kind }) => kind === "IPAMBlock",
    );
    const { resourceVersion: _version, uid: _uid, ...metadata } = (block as StoredObject).metadata;
    const path = "/apis/crd.projectcalico.org/v1/ipamblocks";
    expect((await api.call("POST", path, stringifyJson({ ...block, metadata }))).status).toBe(201);
    const stored = await using(async ({ transact }) => {
      const found = await transact(() => read({ kind: "IPAMBlock", cidr: "192.168.230.0/26" }));
      expect(found?.spec).toEqual(block?.spec);
      return await transact(() =>
        update({ ...(found as StoredObject), spec: { ...(found?.spec as object), deleted: false } }),
      );
    });
    expect(stored?.spec).toEqual(block?.spec);
    const after = parseJson((await api.call("GET", `${path}/192-168-230-0-26`)).text) as StoredObject;
    expect(after.spec).toEqual(block?.spec);
    expect(after.metadata.annotations).toEqual({ "projectcalico.org/metadata": "{}" });
    expect(after.metadata).not.toHaveProperty("managedFields");
  });

  test("what was half deleted is gone for whoever reads it, and its name is free", async () => {
    await api.clear();
    const handle = {
      apiVersion: "crd.projectcalico.org/v1",
      kind: "IPAMHandle" as const,
      metadata: { name: "n.a" },
      spec: { handleID: "n.a", block: {}, deleted: true },
    };
    await api.call("POST", "/apis/crd.projectcalico.org/v1/ipamhandles", handle);
    await using(async ({ transact }) => {
      const fresh = { ...handle, spec: { ...handle.spec, deleted: false } };
      expect(await transact(() => create(fresh))).toBeUndefined();
      expect(await transact(() => read({ kind: "IPAMHandle", handleId: "n.a" }))).toBeUndefined();
      expect(await transact(() => create(fresh))).toBeDefined();
    });
  });

  test("a resource is deleted at the revision that was read alone", async () => {
    await api.clear();
    const pool = {
      apiVersion: "projectcalico.org/v3",
      kind: "IPPool" as const,
      metadata: { name: "p" },
      spec: { cidr: "10.0.0.0/16" },
    };
    await using(async ({ transact }) => {
      const first = (await transact(() => create(pool))) as StoredObject;
      const second = (await transact(() =>
        update({ ...first, spec: { cidr: "10.0.0.0/16", disabled: true } }),
      )) as StoredObject;
      expect(second.metadata.uid).toBe(first.metadata.uid);
      expect(await transact(() => remove(first))).toBe(false);
      expect(await transact(() => remove(second))).toBe(true);
    });
  });

  test("Calico's fields of a node are annotations, which are written through its status", async () => {
    await api.call("POST", "/api/v1/nodes", {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: "n1", labels: { zone: "a" } },
    });
    await using(async ({ transact }) => {
      const node = (await transact(() => read({ kind: "Node", name: "n1" }))) as StoredObject;
      expect(node.metadata.labels).toMatchObject({ zone: "a" });
      const spec = {
        ...(node.spec as object),
        bgp: { ipv4Address: "172.31.0.1/24", asNumber: 64512 },
        ipv4VXLANTunnelAddr: "10.0.0.1",
      };
      const written = (await transact(() => update({ ...node, spec }))) as StoredObject;
      expect(written.spec).toMatchObject({
        bgp: { ipv4Address: "172.31.0.1/24", asNumber: 64512 },
        ipv4VXLANTunnelAddr: "10.0.0.1",
      });
      expect(await transact(() => update(node))).toBeUndefined();
      const raw = JSON.parse((await api.call("GET", "/api/v1/nodes/n1")).text) as StoredObject;
      expect(raw.metadata.annotations).toEqual({
        "projectcalico.org/IPv4Address": "172.31.0.1/24",
        "projectcalico.org/ASNumber": "64512",
        "projectcalico.org/IPv4VXLANTunnelAddr": "10.0.0.1",
      });
    });
  });

  test("a token and an authority that are replaced in their files are found", async () => {
    const directory = mkdtempSync(join(tmpdir(), "tortie-kubeconfig-"));
    const path = join(directory, "kubeconfig");
    const config = JSON.parse(readFileSync(api.kubeconfig, "utf8")) as { "current-context": string };
    const right = JSON.stringify({ ...config, "current-context": "by-token" });
    writeFileSync(path, right.replace(token, "expired"));
    const datastore = await open({ KUBECONFIG: path }, { timeoutMs: 2000, deadlineMs: 8000 });
    try {
      const [found] = await Promise.all([
        driveAsync(list("IPReservation"), datastore.store),
        sleep(300).then(() => writeFileSync(path, right)),
      ]);
      expect(found).toEqual([]);
      // No client trusts the old authority any more.
      api.renewCertificates();
      await api.kill();
      await api.begin();
      expect(await driveAsync(list("IPReservation"), datastore.store)).toEqual([]);
    } finally {
      datastore.close();
      rmSync(directory, { recursive: true });
    }
  });
});
