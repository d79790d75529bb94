/** `tortie plan`: its commands, run by a shell on another node, create what ADD creates; and the command itself changes nothing. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Conflist, loadConflist } from "../lib/conflist.ts";
import { kernelStateOf } from "../lib/node/kernel-state.ts";
import { Node } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { Runner } from "../lib/runtimes/runner.ts";
import { example, exampleNames, pluginDirs, requireBuild, root } from "../lib/suite.ts";

beforeAll(requireBuild);

const burst = 2 ** 32 - 1;
const capabilities = {
  portMappings: [
    { hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: "" },
    { hostPort: 5353, containerPort: 53, protocol: "udp", hostIP: "" },
  ],
  bandwidth: { ingressRate: 50e6, ingressBurst: burst, egressRate: 20e6, egressBurst: burst },
};
const asked = ["--port", "8080:80", "--port", "5353:53/udp", "--rate", "50M:20M"];

describe.each(exampleNames())("tortie plan %s", (name) => {
  let added: Node;
  let planned: Node;

  beforeAll(async () => {
    [added, planned] = await Promise.all([Node.start("node"), Node.start("node")]);
  });

  afterAll(async () => {
    await Promise.all([added?.stop(), planned?.stop()]);
  });

  test("makes what ADD makes, and asking changes nothing", () => {
    const list = loadConflist(example(name));
    const ifname = list.plugins.some(({ type }) => type === "loopback") ? "lo" : "eth0";
    const args = [
      ["IgnoreUnknown", "1"],
      ["K8S_POD_NAMESPACE", "shop"],
      ["K8S_POD_NAME", "web-1"],
    ] as const;
    const pod = { containerId: "c1", netns: newSandbox(added), ifname, args, capabilities };
    const result = new Runner({ node: added, pluginDirs }).add(list, pod);

    const netns = newSandbox(planned);
    const before = snapshot(planned);
    const addresses = givesByItself(list) ? [] : (result.ips ?? []).flatMap(({ address }) => ["--address", address]);
    const of = ["--pod", "shop/web-1", "--container", "c1", "--ifname", ifname];
    const script = tortie(planned, "plan", example(name), ...of, ...addresses, ...asked, "-o", "sh");
    expect(diff(before, snapshot(planned))).toBe("");
    planned.sh(`export CNI_NETNS=${netns}\n${script}`);
    expect(diff(rounded(kernelStateOf(added)), rounded(kernelStateOf(planned)))).toBe("");
    expect(diff(rounded(kernelStateOf(added, "web-1")), rounded(kernelStateOf(planned, "web-1")))).toBe("");
  });
});

/** As a runtime creates it: its loopback interface is down. */
function newSandbox(node: Node): string {
  const netns = node.addPod("web-1");
  node.sh("ip -n web-1 link set lo down");
  return netns;
}

/** Whether the command can predict the choice of the list's IPAM plugin. */
function givesByItself({ plugins }: Conflist): boolean {
  const [first] = plugins;
  return (first?.ipam as { readonly type?: string } | undefined)?.type === "calico-ipam";
}

function tortie(node: Node, ...words: readonly string[]): string {
  const { status, stdout, stderr } = node.run([process.execPath, join(root, "dist/tortie.js"), ...words]);
  if (status !== 0) throw new Error(`tortie ${words.join(" ")}: ${stderr}`);
  return stdout;
}

/** tc(8) rounds to whole microseconds. */
function rounded(state: string): string {
  const burst = state.replace(/"(burst|lat)":(\d+)/g, (_, key, number) => `"${key}":${Number(number).toPrecision(4)}`);
  // ptp lets the kernel choose both MAC addresses.
  if (!state.includes("tortie:ptp-network/") && !state.includes('"local":"10.22.')) return burst;
  return burst.replace(/"address":"[0-9a-f:]{17}"|fe80::[0-9a-f:]+/g, "(random)");
}
