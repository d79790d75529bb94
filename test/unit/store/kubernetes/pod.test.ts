import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { decodePod, type PodEndpoint, patchOfEndpoint, patchOfRemoval } from "../../../../src/store/kubernetes/pod.ts";
import { root } from "../../../lib/suite.ts";

type Texts = Readonly<Record<string, string>>;
const directory = join(root, "test/fixtures/calico-newest/kubernetes");
const prefix = "cni.projectcalico.org/";
const pods = ["03-del-p1", "09-add-pf"].flatMap(
  (step) =>
    JSON.parse(readFileSync(join(directory, `${step}.pods.json`), "utf8")) as { name: string; annotations: Texts }[],
);
const written = (annotations: Texts) =>
  Object.fromEntries(["podIP", "podIPs", "containerID"].map((name) => [prefix + name, annotations[prefix + name]]));

function podOf(
  name: string,
  annotations: Texts,
  more: { readonly status?: object; readonly deletionTimestamp?: string } = {},
) {
  const { status, ...metadata } = more;
  return {
    metadata: {
      name,
      namespace: "default",
      uid: "u",
      resourceVersion: "7",
      labels: { app: name },
      annotations,
      ...metadata,
    },
    spec: {
      nodeName: "rig-node",
      serviceAccountName: "default",
      containers: [
        { ports: [{ name: "web", containerPort: 80, hostPort: 8080, protocol: "TCP" }, { containerPort: 81 }] },
      ],
    },
    status,
  };
}

describe("pods that Calico attached", () => {
  test.each(pods.filter(({ annotations }) => annotations[`${prefix}podIP`]))(
    "$name is read from its annotations, and written so",
    ({ name, annotations }) => {
      const endpoint = decodePod(podOf(name, annotations)) as PodEndpoint;
      expect(endpoint.spec.ipNetworks).toEqual([annotations[`${prefix}podIP`]]);
      expect(patchOfEndpoint(endpoint)).toEqual({ metadata: { uid: "u", annotations: written(annotations) } });
    },
  );

  test("one that was detached has no address, and keeps the ID of its sandbox", () => {
    const detached = pods.find(({ name }) => name === "p1") as { annotations: Texts };
    const endpoint = decodePod(podOf("p1", detached.annotations)) as PodEndpoint;
    expect(endpoint.spec.ipNetworks).toBeUndefined();
    expect(endpoint.spec.containerID).toBe("sandbox-p1");
    const { [`${prefix}containerID`]: _id, ...cleared } = written(detached.annotations);
    expect(patchOfRemoval(endpoint)).toEqual({ metadata: { uid: "u", resourceVersion: "7", annotations: cleared } });
  });
});

test("names, labels, profiles, ports and the host interface follow from the pod", () => {
  expect(decodePod(podOf("my-pod", {}))).toMatchObject({
    metadata: {
      name: "rig--node-k8s-my--pod-eth0",
      namespace: "default",
      labels: {
        app: "my-pod",
        "projectcalico.org/namespace": "default",
        "projectcalico.org/orchestrator": "k8s",
        "projectcalico.org/serviceaccount": "default",
      },
    },
    spec: {
      profiles: ["kns.default", "ksa.default.default"],
      interfaceName: expect.stringMatching(/^cali[0-9a-f]{11}$/),
      ports: [{ name: "web", protocol: "TCP", port: 80, hostPort: 8080 }],
    },
  });
  expect(decodePod({ metadata: { name: "p", namespace: "default" }, spec: {} }).spec.node).toBe("");
});

describe("addresses", () => {
  const noted = { [`${prefix}podIP`]: "10.0.0.1/32", [`${prefix}podIPs`]: "10.0.0.1/32,fd00::1/128" };

  test.each([
    [
      "as kubelet reports them",
      noted,
      { status: { podIP: "10.0.0.9", podIPs: [{ ip: "10.0.0.9" }, { ip: "fd00::9" }] } },
      ["10.0.0.9/32", "fd00::9/128"],
    ],
    ["as an old kubelet reports one", noted, { status: { podIP: "10.0.0.9" } }, ["10.0.0.9/32"]],
    ["as a plugin noted them, until then", noted, {}, ["10.0.0.1/32", "fd00::1/128"]],
    ["as Amazon's plugin noted them", { "vpc.amazonaws.com/pod-ips": "10.0.0.5" }, {}, ["10.0.0.5/32"]],
    ["none when its containers have ended", noted, { status: { phase: "Succeeded", podIP: "10.0.0.9" } }, undefined],
    [
      "none when it is being deleted and a plugin took them away",
      { [`${prefix}podIP`]: "" },
      { deletionTimestamp: "2026-01-01T00:00:00Z", status: { podIP: "10.0.0.9" } },
      undefined,
    ],
  ])("are %s", (_, annotations, more, expected) => {
    expect(decodePod(podOf("p", annotations, more))?.spec.ipNetworks).toEqual(expected);
  });
});
