import { beforeEach, describe, expect, test } from "vitest";
import { Endpoints } from "../../../src/agent/endpoints/endpoints.ts";
import { type MemoryDatastore, memoryDatastore } from "./memory-datastore.ts";

const ms = 1000;
const pod = { namespace: "shop", name: "web-0" };
const attachment = { network: "net", containerId: "c1", ifname: "eth0" };
const record = {
  ...{ node: "node-a", attachment, pod: undefined, profiles: ["net"] },
  ...{ addresses: ["10.0.0.5/32"], hostInterface: "cali1", mac: "02:00:00:00:00:01" },
};

let datastore: MemoryDatastore;

beforeEach(() => {
  datastore = memoryDatastore();
});

const endpoints = () => datastore.memory.all("WorkloadEndpoint");

describe("in etcd, Endpoints", () => {
  test("records an endpoint and its profile, and updates them when they change", async () => {
    const own = new Endpoints(datastore.store, false);
    await own.put(record, ms);
    await own.put({ ...record, addresses: ["10.0.0.6/32"] }, ms);
    expect(endpoints()).toMatchObject([
      {
        metadata: {
          name: "node--a-cni-c1-eth0",
          namespace: "default",
          labels: { "projectcalico.org/namespace": "default", "projectcalico.org/orchestrator": "cni" },
        },
        spec: {
          containerID: "c1",
          endpoint: "eth0",
          ipNetworks: ["10.0.0.6/32"],
          profiles: ["net"],
          interfaceName: "cali1",
        },
      },
    ]);
    expect(datastore.memory.all("Profile")).toMatchObject([
      { metadata: { name: "net" }, spec: { ingress: [{ action: "Allow", source: { selector: "has(net)" } }] } },
    ]);
  });

  test("records floating IPs and allowed sources under Calico's names", async () => {
    const ipNats = [{ internalIP: "10.0.0.5", externalIP: "172.31.250.113" }];
    await new Endpoints(datastore.store, false).put({ ...record, ipNats, allowedSources: ["10.0.0.0/8"] }, ms);
    expect(endpoints()).toMatchObject([{ spec: { ipNATs: ipNats, allowSpoofedSourcePrefixes: ["10.0.0.0/8"] } }]);
  });

  test("removes the record of a sandbox, and leaves that of the pod's next one", async () => {
    const own = new Endpoints(datastore.store, false);
    const next = { ...record, pod, attachment: { ...attachment, containerId: "c2" } };
    await own.put(next, ms);
    await own.delete({ ...next, attachment }, ms);
    expect(endpoints()).toHaveLength(1);
    await own.delete(next, ms);
    await own.delete(next, ms);
    expect(endpoints()).toEqual([]);
  });

  test("knows of no annotations", async () => {
    expect(await new Endpoints(datastore.store, false).annotations({ node: "node-a", pod }, ms)).toEqual({});
  });
});

describe("in Kubernetes, Endpoints", () => {
  test("refuses a pod that is not there, by name", async () => {
    const own = new Endpoints(datastore.store, true);
    await expect(own.annotations({ node: "node-a", pod }, ms)).rejects.toThrow('cannot attach pod "shop/web-0"');
    await expect(own.put({ ...record, pod }, ms)).rejects.toMatchObject({ kind: "invalid", name: "PodGone" });
  });

  test("has no place for a container without a pod, nor for a pod's second interface", async () => {
    const own = new Endpoints(datastore.store, true);
    await own.put(record, ms);
    await own.put({ ...record, pod, attachment: { ...attachment, ifname: "net1" } }, ms);
    await own.delete(record, ms);
    expect(endpoints()).toEqual([]);
  });
});
