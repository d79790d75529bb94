/** The two datastores of a cluster for one test: etcd, and a kube-apiserver where agents have exactly the rights of their role. */
import { Etcd, etcdIsMissing } from "./etcd.ts";
import { KubeApiserver } from "./kube-apiserver.ts";
import { kubeApiserverIsMissing } from "./kubernetes-build.ts";
import { agentRole, createDefaultAccount, createNode, podOn, podsPath } from "./kubernetes-objects.ts";

/** Since a server started, as it counts them. */
export interface RequestCounts {
  readonly reads: number;
  readonly writes: number;
  /** Of all servers of the site. */
  readonly cpuSeconds: number;
}

export interface ClusterSite {
  /** How agents and tests find the datastore. */
  readonly environment: Readonly<Record<string, string>>;
  /** The keys of `calico` in a conflist that choose it. */
  readonly netConf: object;
  addNode(name: string): Promise<unknown>;
  removeNode(name: string): Promise<unknown>;
  /** Resolves with the pod's UID; etcd has no pods. */
  addPod(name: string, node: string): Promise<string | undefined>;
  removePod(name: string): Promise<unknown>;
  counts(): Promise<RequestCounts>;
  /** Kills the server and starts it again, as a crash does. */
  restart(): Promise<void>;
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
  /** The port of the server on loopback. */
  readonly port: number;
  /** The environment of an agent that reaches the server through a relay. */
  environmentAt(port: number): Readonly<Record<string, string>>;
  /** Where the server keeps everything. */
  readonly etcd: Etcd;
  stop(): Promise<void>;
}

/** By name: why a test cannot have it, and how to start it. */
export const clusterSites = [
  ["etcd", etcdIsMissing, etcdSite],
  ["Kubernetes", etcdIsMissing ?? kubeApiserverIsMissing, kubernetesSite],
] as const;

async function etcdSite(): Promise<ClusterSite> {
  const etcd = await Etcd.start();
  return {
    environment: { ETCD_ENDPOINTS: etcd.endpoint },
    netConf: { datastore_type: "etcdv3" },
    addNode: async () => undefined,
    removeNode: (name) => etcd.clear(`/calico/resources/v3/projectcalico.org/nodes/${name}`),
    addPod: async () => undefined,
    removePod: async () => undefined,
    async counts() {
      const text = await etcd.metrics();
      const of = (method: string) => sumOf(text, "grpc_server_handled_total", [`grpc_method="${method}"`]);
      return { reads: of("Range"), writes: of("Txn"), cpuSeconds: cpuSecondsIn(text) };
    },
    async restart() {
      await etcd.kill();
      await etcd.begin();
    },
    signal: (signal) => etcd.signal(signal),
    port: Number(new URL(etcd.endpoint).port),
    environmentAt: (port) => ({ ETCD_ENDPOINTS: `http://127.0.0.1:${port}` }),
    etcd,
    stop: () => etcd.stop(),
  };
}

async function kubernetesSite(): Promise<ClusterSite> {
  const api = await KubeApiserver.start();
  await api.apply(agentRole);
  await createDefaultAccount(api);
  /** `done`: the answer to a repeated request whose first answer was lost. */
  const require = async (done: number, method: string, path: string, body?: object) => {
    const { status, text } = await api.call(method, path, body);
    if (status >= 300 && status !== done) throw new Error(`${method} ${path}: ${text}`);
    return text;
  };
  const environment = {
    DATASTORE_TYPE: "kubernetes",
    KUBECONFIG: await api.kubeconfigOf("kube-system", "tortie-node"),
  };
  return {
    environment,
    netConf: { datastore_type: "kubernetes", policy: { type: "k8s" } },
    addNode: (name) => createNode(api, name),
    removeNode: (name) => api.json("DELETE", `/api/v1/nodes/${name}`),
    async addPod(name, node) {
      const text = await require(409, "POST", podsPath, podOn(node, name));
      const { metadata } = JSON.parse(text) as { readonly metadata?: { readonly uid?: string } };
      return metadata?.uid;
    },
    removePod: (name) => require(404, "DELETE", `${podsPath}/${name}?gracePeriodSeconds=0`),
    async counts() {
      const { text } = await api.call("GET", "/metrics");
      const of = (verbs: readonly string[]) =>
        verbs
          .flatMap((verb) => resources.map((resource) => [verb, resource] as const))
          .reduce(
            (sum, [verb, resource]) =>
              sum + sumOf(text, "apiserver_request_total", [`verb="${verb}"`, `resource="${resource}"`]),
            0,
          );
      const cpuSeconds = cpuSecondsIn(text) + cpuSecondsIn(await api.etcd.metrics());
      return { reads: of(["GET", "LIST"]), writes: of(["POST", "PUT", "PATCH", "DELETE"]), cpuSeconds };
    },
    async restart() {
      await api.kill();
      await api.begin();
    },
    signal: (signal) => api.signal(signal),
    port: api.port,
    environmentAt: (port) => ({ ...environment, K8S_API_ENDPOINT: `https://127.0.0.1:${port}` }),
    etcd: api.etcd,
    stop: () => api.stop(),
  };
}

/** What an ADD may touch. */
const resources = ["pods", "nodes", "namespaces", "ipamblocks", "blockaffinities", "ipamhandles", "ippools"];

function cpuSecondsIn(metrics: string): number {
  return Number(/^process_cpu_seconds_total (.+)$/m.exec(metrics)?.[1]);
}

/** The sum of the series of a metric that have these labels. */
function sumOf(text: string, name: string, labels: readonly string[]): number {
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${name}{`) && labels.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}
