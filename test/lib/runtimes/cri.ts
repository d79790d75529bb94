/** A kubelet as a runtime sees it: calls of the container runtime interface by gRPC over the runtime's socket. */
import { join } from "node:path";
import { Client, credentials, type ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { cgroupParent } from "../node/cgroups.ts";
import { root } from "../suite.ts";

export interface Pod {
  readonly name: string;
  readonly namespace?: string;
  /** The number of earlier sandboxes of the pod. */
  readonly attempt?: number;
  readonly ports?: readonly {
    readonly hostPort: number;
    readonly containerPort: number;
    readonly protocol?: "TCP" | "UDP" | "SCTP";
    readonly hostIp?: string;
  }[];
  /** Towards the pod, as a quantity: `"20M"` is 20,000,000 bit/s. */
  readonly ingressBandwidth?: string;
  readonly egressBandwidth?: string;
}

export interface SandboxStatus {
  readonly isReady: boolean;
  readonly ip: string;
  /** The name of its network namespace, below /run/netns. */
  readonly netns: string;
}

export interface ListedSandbox {
  readonly id: string;
  /** The name of its pod. */
  readonly name: string;
  readonly attempt: number;
  readonly isReady: boolean;
}

/** The default of kubelet (`--runtime-request-timeout`). */
const deadlineMs = 120_000;

export class Cri {
  readonly #client: Client;

  /** `socket`: the path as seen by this process. */
  constructor(socket: string) {
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure(), {
      // The runtime may still be starting, which takes a tenth of a second.
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 200,
    });
  }

  /** Waits until the runtime answers: it listens before it is initialized. */
  async ready(timeoutMs = 20_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    await new Promise<void>((resolve, reject) => {
      this.#client.waitForReady(deadline, (error) => (error ? reject(error) : resolve()));
    });
    await until(deadline, () => this.isNetworkReady().then(() => true));
  }

  async isNetworkReady(): Promise<boolean> {
    type Status = { status: { conditions: readonly { type: string; status: boolean }[] } };
    const { status } = await this.#call<Status>("Status", {});
    return status.conditions.some((condition) => condition.type === "NetworkReady" && condition.status);
  }

  async listImages(): Promise<readonly string[]> {
    const { images } = await this.#call<{ images: readonly { repoTags: readonly string[] }[] }>("ListImages", {});
    return images.flatMap(({ repoTags }) => repoTags);
  }

  /** Returns the sandbox's ID. */
  async run(pod: Pod): Promise<string> {
    const { podSandboxId } = await this.#call<{ podSandboxId: string }>("RunPodSandbox", { config: configOf(pod) });
    return podSandboxId;
  }

  /** Starts a container of an image in a sandbox. */
  async startContainer(id: string, pod: Pod, image: string, command: readonly string[]): Promise<void> {
    const { containerId } = await this.#call<{ containerId: string }>("CreateContainer", {
      podSandboxId: id,
      config: { metadata: { name: "box", attempt: pod.attempt ?? 0 }, image: { image }, command },
      sandboxConfig: configOf(pod),
    });
    await this.#call("StartContainer", { containerId });
  }

  async stop(id: string): Promise<void> {
    await this.#call("StopPodSandbox", { podSandboxId: id });
  }

  async remove(id: string): Promise<void> {
    await this.#call("RemovePodSandbox", { podSandboxId: id });
  }

  async list(): Promise<readonly ListedSandbox[]> {
    type Item = { id: string; metadata: { name: string; attempt: number }; state: string };
    const { items } = await this.#call<{ items: readonly Item[] }>("ListPodSandbox", {});
    return items.map(({ id, metadata: { name, attempt }, state }) => ({ id, name, attempt, isReady: isReady(state) }));
  }

  async status(id: string): Promise<SandboxStatus> {
    type Status = { status: { state: string; network: { ip: string } }; info: { info: string } };
    const { status, info } = await this.#call<Status>("PodSandboxStatus", { podSandboxId: id, verbose: true });
    const { runtimeSpec } = JSON.parse(info.info) as {
      runtimeSpec: { linux: { namespaces: readonly { type: string; path?: string }[] } };
    };
    const path = runtimeSpec.linux.namespaces.find(({ type }) => type === "network")?.path ?? "";
    const netns = path.slice(path.lastIndexOf("/") + 1);
    return { isReady: isReady(status.state), ip: status.network.ip, netns };
  }

  close(): void {
    this.#client.close();
  }

  #call<Response>(method: string, request: object): Promise<Response> {
    const definition = methods[method];
    if (definition === undefined) throw new Error(`cannot call ${method}: cri.proto does not have it`);
    const { path, requestSerialize, responseDeserialize } = definition;
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + deadlineMs };
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, options, (error, response) =>
        error ? reject(error) : resolve(response as Response),
      );
    });
  }
}

const definitions = loadSync(join(root, "test/lib/runtimes/cri.proto"), { defaults: true, enums: String });
const methods: ServiceDefinition = {
  ...(definitions["runtime.v1.RuntimeService"] as ServiceDefinition),
  ...(definitions["runtime.v1.ImageService"] as ServiceDefinition),
};

/** Asks until the answer is true; errors count as false until the deadline. */
export async function until(deadline: number, question: () => Promise<boolean>): Promise<void> {
  for (;;) {
    try {
      if (await question()) return;
      if (Date.now() > deadline) throw new Error("it took too long");
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function isReady(state: string): boolean {
  return state === "SANDBOX_READY";
}

function configOf({
  name,
  namespace = "default",
  attempt = 0,
  ports = [],
  ingressBandwidth,
  egressBandwidth,
}: Pod): object {
  return {
    metadata: { name, namespace, uid: `${namespace}-${name}`, attempt },
    hostname: name,
    portMappings: ports,
    annotations: {
      ...(ingressBandwidth && { "kubernetes.io/ingress-bandwidth": ingressBandwidth }),
      ...(egressBandwidth && { "kubernetes.io/egress-bandwidth": egressBandwidth }),
    },
    linux: { cgroupParent },
  };
}
