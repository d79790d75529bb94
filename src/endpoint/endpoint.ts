/**
 * The record of one attachment's endpoint: Calico's `WorkloadEndpoint`, one JSON file under the attachment's key. `part.ts` has what each
 * plugin of the chain was asked to make for it.
 *
 *     /run/tortie/endpoints/<network>:<containerID>:<ifname>.json
 *
 * **It is written before the kernel is touched and removed after the host interface**, so that it leads to the leftovers of a killed ADD or DEL.
 * It is never fsynced, because it is on a tmpfs and lives as long as the interface. `anyEndpoint` removes unfinished files of killed processes.
 */

import { isErrno, type Sys } from "../host/sys.ts";
import { type Attachment, attachmentKey } from "../identity/attachment.ts";
import { endpointName } from "../identity/endpoint-name.ts";
import { runDir } from "../identity/names.ts";
import { type Family, familyOf } from "../net/address.ts";
import { inDirectory, isRecord, namesIn, recordMode, removeRecord } from "./files.ts";
import { formatOrigin, type Origin, parseOrigin } from "./origin.ts";

export interface Endpoint {
  readonly attachment: Attachment;
  readonly node: string;
  /** Kubernetes' namespace and pod; absent if the runtime passed none. */
  readonly pod: { readonly namespace: string; readonly name: string } | undefined;
  readonly hostInterface: string;
  readonly mac: string;
  /** Addresses with their prefix lengths, /32 and /128. */
  readonly addresses: readonly string[];
  /** Gateways that the IPAM plugin named; the result of ADD has none. */
  readonly gateways?: readonly string[];
  /** The path of the sandbox's namespace, from the runtime. */
  readonly netns: string;
  /** Absent in records of earlier releases. */
  readonly origin?: Origin;
}

/** Never change: upgrades depend on it. */
export const endpointDirectory = `${runDir}/endpoints`;
const suffix = ".json";
const networkAnnotation = "tortie/network";
const netnsAnnotation = "tortie/netns";
const originAnnotation = "tortie/namespaces";

export function writeEndpoint(sys: Sys, endpoint: Endpoint): void {
  const text = `${JSON.stringify(toResource(endpoint, sys.wallClock().seconds), undefined, 2)}\n`;
  const path = pathOf(endpoint.attachment);
  inDirectory(sys, endpointDirectory, () => writeOnce(sys, path, text));
}

/** Creates the file, since most are new; a created file appears in the directory only when it is complete. */
function writeOnce(sys: Sys, path: string, text: string): void {
  try {
    sys.createFile(path, text, recordMode);
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
    sys.replaceFile(path, text, { mode: recordMode, durable: false });
  }
}

/** Whether there is a record, readable or not. */
export function hasEndpoint(sys: Sys, attachment: Attachment): boolean {
  return sys.stat(pathOf(attachment)) !== undefined;
}

/** The record; `undefined` if there is none or it is unreadable (the interface's alias then still names the owner). */
export function readEndpoint(sys: Sys, attachment: Attachment): Endpoint | undefined {
  return readFile(sys, pathOf(attachment));
}

/** A missing record is success. */
export function removeEndpoint(sys: Sys, attachment: Attachment): void {
  removeRecord(sys, pathOf(attachment));
}

/** All readable records. */
export function listEndpoints(sys: Sys): readonly Endpoint[] {
  return namesIn(sys, endpointDirectory)
    .filter(isRecord)
    .flatMap((name) => readFile(sys, `${endpointDirectory}/${name}`) ?? []);
}

/**
 * Whether any other attachment has a record; reads no file. Removes unfinished files: their writer was killed, or will retry.
 */
export function anyEndpoint(sys: Sys, but?: Attachment): boolean {
  const names = namesIn(sys, endpointDirectory);
  for (const name of names) if (name.startsWith(".tmp-")) removeRecord(sys, `${endpointDirectory}/${name}`);
  const own = but && fileOf(but);
  return names.some((name) => isRecord(name) && name !== own);
}

function pathOf(attachment: Attachment): string {
  return `${endpointDirectory}/${fileOf(attachment)}`;
}

function fileOf(attachment: Attachment): string {
  return attachmentKey(attachment) + suffix;
}

function readFile(sys: Sys, path: string): Endpoint | undefined {
  try {
    return decodeEndpoint(JSON.parse(sys.readFile(path, "refused")));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError || isErrno(error, "ENOENT", "ENOTDIR"))
      return undefined;
    throw error;
  }
}

/** The shape of `projectcalico.org/v3` WorkloadEndpoint. */
export interface WorkloadEndpoint {
  readonly apiVersion: "projectcalico.org/v3";
  readonly kind: "WorkloadEndpoint";
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly creationTimestamp: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly orchestrator: string;
    readonly workload?: string;
    readonly node: string;
    readonly containerID: string;
    readonly pod?: string;
    readonly endpoint: string;
    readonly ipNetworks: readonly string[];
    readonly ipv4Gateway?: string;
    readonly ipv6Gateway?: string;
    readonly interfaceName: string;
    readonly mac: string;
  };
}

function toResource(endpoint: Endpoint, seconds: number): WorkloadEndpoint {
  const { attachment, node, pod } = endpoint;
  const orchestrator = pod === undefined ? "cni" : "k8s";
  const namespace = pod?.namespace ?? "default";
  const gateway = (family: Family) => endpoint.gateways?.find((address) => familyOf(address) === family);
  const [ipv4Gateway, ipv6Gateway] = [gateway(4), gateway(6)];
  return {
    apiVersion: "projectcalico.org/v3",
    kind: "WorkloadEndpoint",
    metadata: {
      name: endpointName({
        node,
        orchestrator,
        workload: pod?.name ?? attachment.containerId,
        endpoint: attachment.ifname,
      }),
      namespace,
      creationTimestamp: new Date(seconds * 1000).toISOString().replace(".000Z", "Z"),
      labels: { "projectcalico.org/namespace": namespace, "projectcalico.org/orchestrator": orchestrator },
      annotations: {
        [networkAnnotation]: attachment.network,
        [netnsAnnotation]: endpoint.netns,
        ...(endpoint.origin && { [originAnnotation]: formatOrigin(endpoint.origin) }),
      },
    },
    spec: {
      orchestrator,
      ...(pod === undefined ? { workload: attachment.containerId } : { pod: pod.name }),
      node,
      containerID: attachment.containerId,
      endpoint: attachment.ifname,
      ipNetworks: endpoint.addresses,
      ...(ipv4Gateway === undefined ? {} : { ipv4Gateway }),
      ...(ipv6Gateway === undefined ? {} : { ipv6Gateway }),
      interfaceName: endpoint.hostInterface,
      mac: endpoint.mac,
    },
  };
}

/** `undefined` for an endpoint that is not ours. Throws `TypeError` where keys are missing. */
export function decodeEndpoint({ metadata, spec }: WorkloadEndpoint): Endpoint | undefined {
  const network = metadata.annotations[networkAnnotation];
  if (network === undefined || typeof spec.interfaceName !== "string") return undefined;
  const origin = parseOrigin(metadata.annotations[originAnnotation]);
  return {
    attachment: { network, containerId: spec.containerID, ifname: spec.endpoint },
    node: spec.node,
    pod: spec.pod === undefined ? undefined : { namespace: metadata.namespace, name: spec.pod },
    hostInterface: spec.interfaceName,
    mac: spec.mac,
    addresses: spec.ipNetworks,
    gateways: [spec.ipv4Gateway, spec.ipv6Gateway].filter((address) => address !== undefined),
    netns: metadata.annotations[netnsAnnotation] ?? "",
    ...(origin && { origin }),
  };
}
