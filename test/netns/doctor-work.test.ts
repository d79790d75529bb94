/** `tortie doctor` while plugins are working, and with every configuration of conf-examples. */
import { beforeAll, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { doctor } from "../lib/node/doctor.ts";
import { DoctorNode } from "../lib/node/doctor-node.ts";
import { Node } from "../lib/node/netns.ts";
import { Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, exampleNames, ourPluginDir, pluginDirs, requireBuild } from "../lib/suite.ts";

beforeAll(requireBuild);

/** Two loops that add and delete pods with the whole chain until /run/stop exists, and write failures to a file. */
const churn = `
cd ${ourPluginDir}
export CNI_IFNAME=eth0 CNI_PATH=${ourPluginDir}
call() { printf '{"cniVersion":"1.0.0","name":"k8s-pod-network","ipam":{"type":"calico-ipam"}%s}' "$3" | CNI_COMMAND=$1 ./$2 || echo "$1 of $2 failed"; }
pod() {
  export CNI_CONTAINERID=$1 CNI_NETNS=/run/netns/$1 CNI_ARGS="K8S_POD_NAMESPACE=default;K8S_POD_NAME=$1"
  ip netns add $1
  result=$(call ADD calico "")
  result=$(call ADD bandwidth ',"egressRate":1000000,"egressBurst":1000000,"prevResult":'"$result")
  ports='[{"hostPort":'$2',"containerPort":80,"protocol":"tcp"}]'
  call ADD portmap ',"runtimeConfig":{"portMappings":'"$ports"'},"prevResult":'"$result" | grep failed
  for plugin in portmap bandwidth calico; do call DEL $plugin ""; done
  ip netns delete $1
}
for worker in 1 2; do
  (turn=0; while [ ! -e /run/stop ]; do turn=$((turn + 1)); pod churn-$worker-$turn $((9000 + worker)); done) &
done
wait
`;

test("tortie doctor reports no running ADD or DEL, and does not disturb it", async () => {
  const host = await DoctorNode.start();
  try {
    const working = host.node.start(["/bin/sh", "-c", churn]);
    let written = "";
    for (const stream of [working.stdout, working.stderr]) stream?.on("data", (chunk) => (written += String(chunk)));
    for (let look = 0; look < 10; look++) {
      expect(host.doctor({ fix: look % 2 === 1 })).toEqual({ exitCode: 0, findings: [], remarks: [], notes: [] });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const ended = new Promise((resolve) => working.once("exit", resolve));
    host.node.sh("touch /run/stop");
    await ended;
    expect(written).toBe("");
    expect(host.doctor()).toEqual({ exitCode: 0, findings: [], remarks: [], notes: [] });
    host.expectNeighbourServed();
  } finally {
    await host.stop();
  }
});

test.each(exampleNames().filter((name) => !name.includes("loopback")))(
  "%s: a pod is well, and what it leaves is repaired",
  async (name) => {
    const other = loadConflist(example(name));
    const elsewhere = await Node.start();
    try {
      const chain = new Runner({ node: elsewhere, pluginDirs });
      const at = { conflist: example(name) };
      const sandbox = (id: string): Sandbox => ({
        containerId: id,
        netns: elsewhere.addPod(id),
        ifname: "eth0",
        capabilities: {
          portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
          bandwidth: { ingressRate: 50e6, ingressBurst: 4e6, egressRate: 50e6, egressBurst: 4e6 },
        },
      });
      chain.add(other, sandbox("c1"));
      expect(doctor(elsewhere, at)).toMatchObject({ exitCode: 0, findings: [] });
      elsewhere.removePod("c1");
      const found = doctor(elsewhere, at);
      expect(found.findings.map(({ id }) => id)).toEqual(["attachment-left"]);
      expect(doctor(elsewhere, { ...at, fix: true })).toMatchObject({ exitCode: 0, findings: [] });
      chain.add(other, sandbox("c2"));
      expect(doctor(elsewhere, at)).toMatchObject({ exitCode: 0, findings: [] });
    } finally {
      await elsewhere.stop();
    }
  },
);
