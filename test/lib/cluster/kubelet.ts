/** A real kubelet on a private node, with the controllers and the scheduler of a control plane: the pods of a Deployment become pods of a runtime. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { cgroupParent } from "../node/cgroups.ts";
import { type Node, nodeAddress4, systemPath } from "../node/netns.ts";
import type { Containerd } from "../runtimes/containerd.ts";
import type { KubeApiserver } from "./kube-apiserver.ts";
import { kubernetesPrograms } from "./kubernetes-build.ts";

const home = "/run/.node/kubelet";

export interface KubeletOptions {
  readonly node: Node;
  readonly api: KubeApiserver;
  readonly containerd: Containerd;
  /** The name of the Node that it registers. */
  readonly name: string;
}

export class Kubelet {
  readonly #options: KubeletOptions;
  readonly #program: string;
  readonly #door: Server;
  readonly #control: readonly ChildProcess[];

  private constructor(options: KubeletOptions, program: string, door: Server, control: readonly ChildProcess[]) {
    this.#options = options;
    this.#program = program;
    this.#door = door;
    this.#control = control;
  }

  static async start(options: KubeletOptions): Promise<Kubelet> {
    const { node, api, containerd, name } = options;
    const programs = await kubernetesPrograms("kubelet", "kube-controller-manager", "kube-scheduler");
    node.sh(`mkdir -p ${home}; cat > ${home}/config.yaml`, { stdin: JSON.stringify(configOf(containerd)) });
    makeCgroups();
    const door = await openDoor(node, api.port);
    const control = [
      run(programs["kube-controller-manager"], {
        ...{ kubeconfig: api.kubeconfig, "leader-elect": false, "secure-port": 0 },
        "service-account-private-key-file": api.files.key,
        "root-ca-file": api.files.ca,
      }),
      run(programs["kube-scheduler"], { kubeconfig: api.kubeconfig, "leader-elect": false, "secure-port": 0 }),
    ];
    const kubelet = new Kubelet(options, programs.kubelet, door, control);
    kubelet.begin();
    await api.until(`/api/v1/nodes/${name}`, () => true);
    return kubelet;
  }

  begin(): void {
    const { node, api, name } = this.#options;
    const flags = flagsOf({
      ...{ kubeconfig: api.kubeconfig, config: `${home}/config.yaml`, "root-dir": `${home}/root` },
      ...{ "cert-dir": `${home}/pki`, "hostname-override": name, "node-ip": nodeAddress4 },
    });
    const script = `echo $$ > ${home}/pid; exec ${this.#program} ${flags.join(" ")} >> ${home}/log 2>&1`;
    node.start(["/bin/sh", "-c", script], { env: { PATH: systemPath } });
  }

  /** As a crash would. Its pods keep running. */
  kill(): void {
    this.#options.node.sh(`
      pid=$(cat ${home}/pid)
      kill -KILL $pid
      for i in $(seq 500); do [ -e /proc/$pid ] || exit 0; sleep 0.02; done
      exit 1
    `);
  }

  /** The end of its log. */
  log(): string {
    return this.#options.node.sh(`tail -n 60 ${home}/log`);
  }

  async stop(): Promise<void> {
    const ended = this.#control.filter(({ exitCode }) => exitCode === null).map((child) => once(child, "exit"));
    for (const child of this.#control) child.kill("SIGKILL");
    await Promise.all(ended);
    this.#door.close();
  }
}

function configOf(containerd: Containerd): object {
  return {
    ...{ apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration" },
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    ...{ address: "127.0.0.1", healthzPort: 0, failSwapOn: false, resolvConf: "/etc/resolv.conf" },
    ...{ cgroupDriver: "cgroupfs", cgroupRoot: cgroupParent, failCgroupV1: false, enforceNodeAllocatable: [] },
    containerRuntimeEndpoint: `unix://${containerd.socket}`,
    // The test's image is not pulled again, and the machine's disk is not the node's.
    ...{ imageGCHighThresholdPercent: 100, evictionHard: { "memory.available": "1Mi" } },
    ...{ syncFrequency: "5s", nodeStatusUpdateFrequency: "2s" },
  };
}

/** In version 1 one in every hierarchy; a set of CPUs has none of its own until it is given some. */
function makeCgroups(): void {
  const root = "/sys/fs/cgroup";
  const hierarchies = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of hierarchies) {
    const own = join(root, name, cgroupParent);
    mkdirSync(own, { recursive: true });
    if (name !== "cpuset") continue;
    for (const file of ["cpuset.cpus", "cpuset.mems"])
      writeFileSync(join(own, file), readFileSync(join(root, name, file), "utf8"));
  }
}

/**
 * The API server listens on the machine's loopback. Through this door it is on the node's loopback too, at the same port, so that kubelet and pods
 * in the node's network reach it by the same URL.
 *
 *     node: 127.0.0.1:<port> ──► /run/.node/api.sock ──► machine: 127.0.0.1:<port>
 */
async function openDoor(node: Node, port: number): Promise<Server> {
  const path = "/run/.node/api.sock";
  const door = createServer((inner) => {
    const outer = connect(port, "127.0.0.1");
    inner.pipe(outer).pipe(inner);
    inner.on("error", () => outer.destroy());
    outer.on("error", () => inner.destroy());
  });
  door.listen(node.outerPath(path));
  await once(door, "listening");
  const script = `
    const net = require("node:net");
    net.createServer((inner) => {
      const outer = net.connect(${JSON.stringify(path)});
      inner.pipe(outer).pipe(inner);
      inner.on("error", () => outer.destroy());
      outer.on("error", () => inner.destroy());
    }).listen(${port}, "127.0.0.1", () => console.log("open"));
  `;
  const child = node.start([process.execPath, "-e", script]);
  if (child.stdout === null) throw new Error("no output");
  await once(child.stdout, "data");
  return door;
}

function run(program: string, flags: Readonly<Record<string, string | number | boolean>>): ChildProcess {
  return spawn(program, flagsOf(flags), { stdio: "ignore" });
}

function flagsOf(flags: Readonly<Record<string, string | number | boolean>>): readonly string[] {
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}
