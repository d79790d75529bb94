/** `tortie` on real datastores of a cluster: every command that uses one, and a server that does not answer. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { tortie } from "../lib/cluster/command.ts";
import { Etcd, etcdIsMissing } from "../lib/cluster/etcd.ts";
import { KubeApiserver } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";

interface Site {
  readonly environment: Readonly<Record<string, string>>;
  clear(): Promise<void>;
  /** As Calico's programs store it. */
  putPolicy(): Promise<unknown>;
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
  stop(): Promise<void>;
}

async function etcdSite(): Promise<Site> {
  const etcd = await Etcd.start();
  return {
    environment: { ETCD_ENDPOINTS: etcd.endpoint },
    clear: () => etcd.clear(),
    putPolicy: () => {
      const path = "/calico/resources/v3/projectcalico.org/networkpolicies/shop/default.web";
      return etcd.put(path, JSON.stringify({ ...policy, apiVersion: "projectcalico.org/v3" }));
    },
    signal: (signal) => etcd.signal(signal),
    stop: () => etcd.stop(),
  };
}

async function kubernetesSite(): Promise<Site> {
  const api = await KubeApiserver.start();
  const node = { apiVersion: "v1", kind: "Node", metadata: { name: "a", labels: { zone: "x" } } };
  await api.json("POST", "/api/v1/nodes", node);
  return {
    environment: { DATASTORE_TYPE: "kubernetes", KUBECONFIG: api.kubeconfig },
    clear: () => api.clear(),
    async putPolicy() {
      await api.json("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", policyDefinition);
      const path = "/apis/crd.projectcalico.org/v1/namespaces/shop/networkpolicies";
      await api.json("POST", "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });
      await api.until(path, () => true);
      await api.json("POST", path, { ...policy, apiVersion: "crd.projectcalico.org/v1" });
    },
    signal: (signal) => api.signal(signal),
    stop: () => api.stop(),
  };
}

const policy = {
  ...{ kind: "NetworkPolicy", metadata: { name: "default.web", namespace: "shop" } },
  spec: { tier: "default", order: 10, selector: "app == 'web'", types: ["Ingress"] },
};
/** Where Calico's own is not installed. */
const policyDefinition = {
  ...{ apiVersion: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition" },
  metadata: { name: "networkpolicies.crd.projectcalico.org" },
  spec: {
    ...{ group: "crd.projectcalico.org", scope: "Namespaced" },
    names: {
      kind: "NetworkPolicy",
      plural: "networkpolicies",
      singular: "networkpolicy",
      listKind: "NetworkPolicyList",
    },
    versions: [
      {
        ...{ name: "v1", served: true, storage: true },
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
      },
    ],
  },
};

const missingApiserver = etcdIsMissing ?? kubeApiserverIsMissing;
const sites = [
  { type: "etcdv3", whyNot: etcdIsMissing, start: etcdSite },
  { type: "kubernetes", whyNot: missingApiserver, start: kubernetesSite },
] as const;

const pool = {
  ...{ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "p" } },
  spec: { cidr: "10.0.0.0/24", blockSize: 26, natOutgoing: true },
};
/** Three addresses: of a pod that is gone, and of a tunnel of a node that is gone; the third is in no handle. */
const block = {
  ...{ apiVersion: "crd.projectcalico.org/v1", kind: "IPAMBlock", metadata: { name: "10-0-0-0-30" } },
  spec: {
    ...{ cidr: "10.0.0.0/30", affinity: "host:a", strictAffinity: false },
    ...{ allocations: [0, 1, 0, null], unallocated: [3] },
    attributes: [
      { handle_id: "net.c1", secondary: { node: "a", namespace: "default", pod: "gone" } },
      { handle_id: "vxlan-tunnel-addr-b", secondary: { node: "b", type: "vxlanTunnelAddress" } },
    ],
    // JSON.stringify would round it.
    sequenceNumber: "SEQUENCE",
  },
};
const sequence = "1690113884806720498";
const handle = (handleID: string, count: number) => ({
  ...{ apiVersion: "crd.projectcalico.org/v1", kind: "IPAMHandle", metadata: { name: handleID } },
  spec: { handleID, block: { "10.0.0.0/30": count } },
});
const affinity = {
  ...{ apiVersion: "crd.projectcalico.org/v1", kind: "BlockAffinity", metadata: { name: "a-10-0-0-0-30" } },
  spec: { cidr: "10.0.0.0/30", node: "a", state: "confirmed", type: "host", deleted: "false" },
};
const objects = [
  { ...pool, spec: { ...pool.spec, blockSize: 30 } },
  block,
  handle("net.c1", 2),
  handle("vxlan-tunnel-addr-b", 1),
  affinity,
];
const text = (documents: readonly object[]) =>
  documents.map((document) => JSON.stringify(document).replace('"SEQUENCE"', sequence)).join("\n---\n");

describe.each(sites)("tortie on $type", ({ whyNot, start, type }) => {
  const title = `${type}${whyNot === undefined ? "" : `: ${whyNot}`}`;
  describe.skipIf(whyNot !== undefined)(title, () => {
    let site: Site;
    let directory: string;
    const run = (line: string, input?: string) => tortie(site.environment, line, input);

    beforeAll(async () => {
      site = await start();
      directory = mkdtempSync(join(tmpdir(), "tortie-command-"));
    }, buildTimeoutMs);
    afterAll(async () => {
      await site?.stop();
      rmSync(directory, { recursive: true, force: true });
    });
    beforeEach(() => site.clear());

    test("shows Calico's policies, and says that they are not enforced", async () => {
      await site.putPolicy();
      const { status, stdout, stderr } = await run("get networkpolicy -o wide");
      expect([status, stderr]).toEqual([0, "tortie: Tortie enforces no network policy\n"]);
      expect(stdout.trim().split(/\s*\n/)).toEqual([
        "NAMESPACE   NAME          TIER      ORDER   SELECTOR",
        "shop        default.web   default   10      app == 'web'",
      ]);
    });

    test("create, get, apply, replace and delete a pool, and dry runs change nothing", async () => {
      expect(await run("create -f - --dry-run", text([pool]))).toMatchObject({
        stdout: 'IPPool "p" created (dry run)\n',
      });
      expect(await run("create -f -", text([pool]))).toEqual({ status: 0, stdout: 'IPPool "p" created\n', stderr: "" });
      expect((await run("create -f -", text([pool]))).stderr).toContain("it exists already");
      expect((await run("apply -f -", text([pool]))).stdout).toBe('IPPool "p" unchanged\n');
      const disabled = { ...pool, spec: { ...pool.spec, disabled: true } };
      expect((await run("replace -f -", text([disabled]))).stdout).toBe('IPPool "p" updated\n');
      const yaml = await run("get ippool p -o yaml");
      expect(yaml.stdout).toContain("disabled: true");
      expect((await run("apply -f -", yaml.stdout)).stdout).toBe('IPPool "p" unchanged\n');
      expect((await run("delete ippool p")).stdout).toBe('IPPool "p" deleted, 0 affinities released\n');
      expect((await run("get ippool -o name")).stdout).toBe("");
    });

    test("blocks, handles and affinities: written, read back with exact numbers, refused while in use, deleted", async () => {
      expect(await run("apply -f -", text(objects))).toMatchObject({ status: 0, stderr: "" });
      expect((await run("get ipamblock 10-0-0-0-30 -o json")).stdout).toContain(`"sequenceNumber": ${sequence}`);
      const dump = await run("get ipamblock -o yaml");
      expect((await run("apply -f -", dump.stdout)).stdout).toBe('IPAMBlock "10-0-0-0-30" unchanged\n');
      expect((await run("get ipamhandle")).stdout).toContain("net.c1");
      expect((await run("get blockaffinity a-10-0-0-0-30 -o name")).stdout).toBe("blockaffinity/a-10-0-0-0-30\n");
      expect((await run("delete ippool p")).stderr).toContain("3 of its addresses are in use");
      expect((await run("delete ipamhandle net.c1")).stderr).toContain("it holds addresses");
      for (const name of ["ipamblock/10-0-0-0-30", "ipamhandle/net.c1", "ipamhandle/vxlan-tunnel-addr-b"])
        expect(await run(`delete ${name} --force`)).toMatchObject({ status: 0, stderr: "" });
      expect((await run("get ipamblock -o name")).stdout).toBe("");
      expect((await run("get ipamhandle -o name")).stdout).toBe("");
    });

    test("ipam: check over all nodes, release from its report, show, split, configure", async () => {
      await run("apply -f -", text(objects));
      const report = join(directory, "report.json");
      const check = await run(`ipam check -o ${report}`);
      expect(check.status).toBe(3);
      expect(check.stdout).toContain("  10.0.0.0 is of default/gone, and there is no such pod\n");
      expect(check.stdout).toContain("  10.0.0.1 is of vxlanTunnelAddress of b, and there is no node b\n");
      expect(JSON.parse(readFileSync(report, "utf8")).node).toBeUndefined();
      expect((await run(`ipam release --from-report ${report}`)).stderr).toContain("wait until it is a minute old");
      expect((await run(`ipam release --from-report ${report} --force --dry-run`)).stdout).toContain("(dry run)");
      expect((await run(`ipam release --from-report ${report} --force`)).stdout).toContain(
        "3 of 3 confirmed problems repaired\n",
      );
      expect((await run("ipam check")).status).toBe(0);
      expect((await run("ipam show --ip 10.0.0.0")).stdout).toBe("10.0.0.0 is not assigned\n");
      expect((await run("ipam show --show-blocks")).stdout).toContain(
        "| Block    | 10.0.0.0/30 |         4 |     0 (0%) |",
      );
      expect((await run("ipam split 2 --name p")).stdout).toContain("Successfully split pool p into 2\n");
      expect((await run("get ippool -o name")).stdout).toBe("ippool/split-p-0\nippool/split-p-1\n");
      expect((await run("ipam configure --strictaffinity=true --max-blocks-per-host=4")).status).toBe(0);
      expect((await run("ipam show --show-configuration")).stdout).toMatch(/\| MaxBlocksPerHost +\| 4 +\|/);
    });

    test("one address is released only if nobody has it, or with --force", async () => {
      await run("apply -f -", text(objects));
      expect((await run("ipam release --ip 10.0.0.0")).stdout).toBe(
        "Successfully released IP address 10.0.0.0, of default/gone\n",
      );
      expect((await run("ipam release --ip 10.0.0.0")).stderr).toContain("it is not assigned");
    });

    test("calicoctl's configuration file chooses the datastore", async () => {
      const file = join(directory, "calicoctl.cfg");
      const { DATASTORE_TYPE = "etcdv3", ETCD_ENDPOINTS, KUBECONFIG } = site.environment;
      const spec = { datastoreType: DATASTORE_TYPE, etcdEndpoints: ETCD_ENDPOINTS, kubeconfig: KUBECONFIG };
      writeFileSync(file, JSON.stringify({ apiVersion: "projectcalico.org/v3", kind: "CalicoAPIConfig", spec }));
      await run("create -f -", text([pool]));
      expect(await tortie({}, `get ippool -o name --config ${file}`)).toMatchObject({ stdout: "ippool/p\n" });
    });

    test("a server that does not answer: one error within seconds, and no stack", async () => {
      site.signal("SIGSTOP");
      try {
        for (const line of ["get ippool", "ipam show", "ipam check"]) {
          const start = performance.now();
          const { status, stdout, stderr } = await run(line);
          expect(performance.now() - start).toBeLessThan(10_000);
          expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
          expect(stderr).toMatch(/^tortie: cannot read [^\n]*\n$/);
        }
      } finally {
        site.signal("SIGCONT");
      }
    });

    test("a server that is not there: the same", async () => {
      const away =
        type === "etcdv3"
          ? { ETCD_ENDPOINTS: "http://127.0.0.1:1" }
          : { DATASTORE_TYPE: "kubernetes", K8S_API_ENDPOINT: "https://127.0.0.1:1" };
      const start = performance.now();
      const { status, stderr } = await tortie(away, "get ippool");
      expect(status).toBe(1);
      expect(stderr).toMatch(/^tortie: cannot read [^\n]*ECONNREFUSED[^\n]*\n$/);
      expect(performance.now() - start).toBeLessThan(10_000);
    });

    test("get prints what the driver reads of nodes, endpoints and profiles", async () => {
      if (type === "kubernetes") {
        expect((await run("get node a -o yaml")).stdout).toContain("nodeName: a");
        expect((await run("get namespace default -o name")).stdout).toBe("namespace/default\n");
        expect((await run("get profile -o name")).stdout).toContain("profile/kns.default\n");
        expect((await run("get node -l zone=x -o name")).stdout).toBe("node/a\n");
        return;
      }
      const node = { apiVersion: "projectcalico.org/v3", kind: "Node", metadata: { name: "n" }, spec: {} };
      expect((await run("apply -f -", text([node]))).stdout).toBe('Node "n" created\n');
      expect((await run("delete node n")).stdout).toBe('Node "n" deleted\n');
    });
  });
});
