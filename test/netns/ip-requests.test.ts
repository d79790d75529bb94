/** The requests of runtimes and pods that `10-calico-requests.conflist` allows; a delegate receives all of them. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Conflist, loadConflist, withVersion } from "../lib/conflist.ts";
import { Node } from "../lib/node/netns.ts";
import { ping } from "../lib/node/traffic.ts";
import { type CniResult, Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { containerd, crio } from "../lib/runtimes/runtimes.ts";
import { example, goPluginDir, ourPluginDir, pluginDirs, requireBuild } from "../lib/suite.ts";

const list = loadConflist(example("10-calico-requests.conflist"));
let node: Node;
let runner: Runner;
let pods = 0;

beforeAll(async () => {
  requireBuild();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
});

afterAll(async () => {
  await node?.stop();
});

function newPod(more: Partial<Sandbox> = {}): Sandbox & { readonly pod: string } {
  const pod = `pod${++pods}`;
  return { pod, containerId: `${pod}-0a1b2c`, netns: node.addPod(pod), ifname: "eth0", ...more };
}

/** ADD, CHECK, the pod's interface; then DEL. */
function attach(sandbox: Sandbox & { readonly pod: string }): { readonly result: CniResult; readonly link: string } {
  const result = runner.add(list, sandbox);
  runner.check(list, sandbox);
  const link = node.sh("ip -brief link show eth0; ip -brief address show eth0", { in: sandbox.pod });
  const [address = ""] = result.ips?.map(({ address }) => address.replace(/\/.*/, "")) ?? [];
  expect(ping(node, undefined, address)).toBe(true);
  runner.del(list, sandbox);
  return { result, link };
}

const annotations = {
  "cni.projectcalico.org/ipAddrs": '["192.168.77.7"]',
  "cni.projectcalico.org/hwAddr": "0a:00:00:00:00:77",
  "kubernetes.io/config.source": "api",
};

describe("calico-ipam: a pod gets the addresses that", () => {
  test.each([
    [
      "capabilities ask for",
      { capabilities: { ips: ["192.168.70.1/24"], mac: "0A:00:00:00:00:01" } },
      "192.168.70.1",
      "0a:00:00:00:00:01",
    ],
    [
      "CNI_ARGS ask for",
      {
        args: [
          ["MAC", "0a:00:00:00:00:02"],
          ["IP", "192.168.70.2"],
          ["FOO", "1"],
        ] as const,
      },
      "192.168.70.2",
      "0a:00:00:00:00:02",
    ],
  ])("%s", (_, requests, address, mac) => {
    const { result, link } = attach(newPod(requests));
    expect(result.ips).toMatchObject([{ address: `${address}/32` }]);
    expect(link).toContain(mac);
    expect(link).toContain(`${address}/32`);
  });

  test.each([
    ["containerd", containerd],
    ["CRI-O", crio],
  ])("Calico's annotations ask for, as %s hands them on", (_, sent) => {
    const pod = newPod();
    const requests = sent({ namespace: "default", name: pod.pod, containerId: pod.containerId, annotations });
    const { result, link } = attach({ ...pod, ...requests });
    expect(result.ips).toMatchObject([{ address: "192.168.77.7/32" }]);
    expect(link).toContain("0a:00:00:00:00:77");
  });
});

test("calico ADD returns the runtime's dns", () => {
  const { result } = attach(
    newPod({ capabilities: { dns: { Servers: ["10.96.0.10"], Searches: ["a.example"], Options: null } } }),
  );
  expect(result.dns).toEqual({ nameservers: ["10.96.0.10"], search: ["a.example"] });
});

const trace = {
  TRACEPARENT: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  TRACESTATE: "rojo=00f067aa0ba902b7",
  BAGGAGE: "userId=alice",
};

/** An IPAM plugin that writes its input to files named after the command. */
const recorder = `#!/bin/sh
env >/run/.node/recorded-$CNI_COMMAND.env
cat >/run/.node/recorded-$CNI_COMMAND.json
[ $CNI_COMMAND != ADD ] || echo '{"ips":[{"address":"192.168.99.9/24"}]}'
`;

test("calico passes its document and environment, trace included, unchanged to a delegate, for every command", () => {
  const bin = "/run/.node/bin";
  node.sh(`mkdir -p ${bin}; cat >${bin}/recorder; chmod +x ${bin}/recorder`, { stdin: recorder });
  const sandbox = newPod();
  const stdin = `{ "cniVersion": "1.1.0", "name": "net1", "type": "calico", "unknown": {"big": 9007199254740993},
    "ipam": {"type": "recorder", "key": [1, null]}, "args": {"cni": {"ips": ["192.168.99.9"]}},
    "RuntimeConfig": {"ipRanges": [[{"subnet": "192.168.99.0/24"}]], "Ips": ["192.168.99.9"], "dns": {"Servers": []}}`;
  const variables = {
    CNI_CONTAINERID: sandbox.containerId,
    CNI_NETNS: sandbox.netns,
    CNI_IFNAME: "eth0",
    CNI_ARGS: "K8S_POD_NAME=web-0;IgnoreUnknown=1;FOO;A=B=C",
    CNI_PATH: `${bin}:${ourPluginDir}`,
    PATH: "/usr/bin:/bin",
    HTTPS_PROXY: "http://proxy.example",
    ...trace,
  };
  const run = (command: string, more = "") => {
    const env = { ...variables, CNI_COMMAND: command };
    const document = `${stdin}${more} }`;
    const { status, stdout } = node.run([`${ourPluginDir}/calico`], { env, stdin: document });
    expect({ status, stdout: command === "ADD" ? "" : stdout }, stdout).toEqual({ status: 0, stdout: "" });
    expect(node.sh(`cat /run/.node/recorded-${command}.json`)).toBe(document);
    const seen = node.sh(`cat /run/.node/recorded-${command}.env`).split("\n");
    for (const [name, value] of Object.entries(env)) expect(seen).toContain(`${name}=${value}`);
    return stdout;
  };
  const prevResult = `, "prevResult": ${run("ADD")}`;
  run("CHECK", prevResult);
  run("STATUS");
  run("GC", `, "cni.dev/valid-attachments": [{"containerID": "${sandbox.containerId}", "ifname": "eth0"}]`);
  run("DEL", prevResult);
});

test("calico with Go's host-local as delegate assigns addresses from the runtime's ipRanges", () => {
  const [main, ...others] = list.plugins;
  const ipam = { type: "host-local", dataDir: "/run/host-local", ranges: [[{ subnet: "10.50.0.0/24" }]] };
  const capabilities = { ...(main?.capabilities as object), ipRanges: true };
  const chain: Conflist = withVersion(
    { ...list, plugins: [{ ...main, type: "calico", ipam, capabilities }, ...others] },
    "1.0.0",
  );
  const pod = newPod({ args: [["IgnoreUnknown", "1"]], capabilities: { ipRanges: [[{ subnet: "10.51.0.0/24" }]] } });
  const result = new Runner({ node, pluginDirs: [ourPluginDir, goPluginDir] }).add(chain, pod);
  expect(result.ips?.map(({ address }) => address)).toEqual(["10.51.0.2/32", "10.50.0.2/32"]);
});

test("calico logs the pod and the trace", () => {
  const pod = newPod();
  const [main] = list.plugins;
  const env = {
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: pod.containerId,
    CNI_NETNS: pod.netns,
    CNI_IFNAME: "eth0",
    CNI_ARGS: "K8S_POD_NAME=web-0;K8S_POD_NAMESPACE=default",
    CNI_PATH: ourPluginDir,
    ...trace,
  };
  const request = { ...main, cniVersion: "1.1.0", name: "net1", log_file_path: "/run/.node/cni.log" };
  expect(node.run([`${ourPluginDir}/calico`], { env, stdin: JSON.stringify(request) })).toMatchObject({
    status: 0,
    stderr: "",
  });
  const lines = node.sh("cat /run/.node/cni.log").trim().split("\n");
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({
      network: "net1",
      containerID: pod.containerId,
      ifname: "eth0",
      namespace: "default",
      pod: "web-0",
      trace_id: "0af7651916cd43dd8448eb211c80319c",
      span_id: "b7ad6b7169203331",
      trace_flags: "01",
    });
  }
});
