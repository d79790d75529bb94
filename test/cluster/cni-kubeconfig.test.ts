/** The kubeconfig that the agent keeps for plugins of other projects (`CALICO_MANAGE_CNI`), with the rights of the manifests and no others. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { Agent } from "../lib/cluster/agent.ts";
import { tortie } from "../lib/cluster/command.ts";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { KubeApiserver } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { createNode } from "../lib/cluster/kubernetes-objects.ts";
import { Node } from "../lib/node/netns.ts";
import { root } from "../lib/suite.ts";

const whyNot = etcdIsMissing ?? kubeApiserverIsMissing;
const manifest = (file: string) => join(root, "conf-examples/kubernetes", file);

interface Config {
  readonly "current-context": string;
  readonly users: readonly [{ readonly user: { readonly token: string } }];
}

describe.skipIf(whyNot !== undefined)(`the kubeconfig for plugins${whyNot ? `: ${whyNot}` : ""}`, () => {
  let api: KubeApiserver;
  let node: Node;
  let agent: Agent;
  let path: string;

  beforeAll(async () => {
    api = await KubeApiserver.start();
    node = await Node.start("node-k");
    path = node.outerPath("/etc/cni/net.d/calico-kubeconfig");
    await api.apply(manifest("rbac.yaml"));
    await createNode(api, "node-k");
    agent = await Agent.start(node, {
      ...{ DATASTORE_TYPE: "kubernetes", KUBECONFIG: await api.kubeconfigOf("kube-system", "tortie-node") },
      ...{ NODENAME: "node-k", IP: "203.0.113.1/24", FELIX_IPV6SUPPORT: "false", NO_DEFAULT_POOLS: "true" },
      ...{ CALICO_MANAGE_CNI: "true", CNI_TOKEN_REFRESH_INTERVAL: "1s" },
    });
  }, buildTimeoutMs);
  afterAll(async () => {
    await agent?.stop();
    await node?.stop();
    await api?.stop();
  });

  const read = () => parse(readFileSync(path, "utf8")) as Config;

  test("is not there without the right to request its token, and the log says why", async () => {
    const { error } = await agent.says("cannot write the kubeconfig for plugins");
    expect(error).toMatch(/calico-cni-plugin.*(forbidden|not found)/);
    await api.apply(manifest("cni-kubeconfig.yaml"));
    await agent.says("kubeconfig for plugins written");
  });

  test("is root's alone, and lets its account in", async () => {
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(read()["current-context"]).toBe("calico-context");
    const { stderr } = await tortie({ DATASTORE_TYPE: "kubernetes", KUBECONFIG: path }, "get ippool");
    expect(stderr).toContain(
      'User "system:serviceaccount:kube-system:calico-cni-plugin" cannot list resource "ippools"',
    );
  });

  test("gets the next token in a new file, so that a reader sees one or the other", async () => {
    const { token } = read().users[0].user;
    const { ino } = statSync(path);
    await expect.poll(() => read().users[0].user.token).not.toBe(token);
    expect(statSync(path).ino).not.toBe(ino);
    expect(await agent.stop()).toBe(0);
    expect(read().users[0].user.token).not.toBe("");
  });
});
