/** The pod of a plan, from the options: what a runtime would pass in CNI_ARGS and capabilities. */
import { canonicalAddress } from "../../net/address.ts";
import { CliError, exitStatus } from "../error.ts";

export interface PodOptions {
  readonly pod: string;
  readonly address?: readonly string[] | undefined;
  readonly port?: readonly string[] | undefined;
  readonly rate?: string | undefined;
}

export interface PlannedPod {
  readonly namespace: string;
  readonly name: string;
  /** With a prefix length, if one was given. */
  readonly addresses: readonly string[];
  /** By capability. */
  readonly capabilities: Readonly<Record<string, unknown>>;
}

export function podOf({ pod, address = [], port = [], rate }: PodOptions): PlannedPod {
  const [namespace, name, ...more] = pod.includes("/") ? pod.split("/") : ["default", pod];
  if (!namespace || !name || more.length > 0) throw usage(`--pod "${pod}"`, "must be NAME or NAMESPACE/NAME");
  for (const one of address) {
    if (canonicalAddress(one.replace(/\/\d+$/, "")) === undefined)
      throw usage(`--address "${one}"`, "not an IP address");
  }
  return {
    namespace,
    name,
    addresses: address,
    capabilities: {
      ...(port.length > 0 && { portMappings: port.map(mappingOf) }),
      ...(rate !== undefined && { bandwidth: bandwidthOf(rate) }),
    },
  };
}

/** `8080:80`, `8080:80/udp`, `192.0.2.1:8080:80`, `[2001:db8::1]:8080:80`, as podman's `--publish`. */
function mappingOf(text: string): Readonly<Record<string, unknown>> {
  const [, bracketed, plain, host, container, protocol = "tcp"] =
    /^(?:(?:\[([^\]]+)\]|([^:]+)):)?(\d{1,5}):(\d{1,5})(?:\/(\w+))?$/.exec(text) ?? [];
  if (host === undefined || container === undefined) {
    throw usage(`--port "${text}"`, "wanted [HOST-ADDRESS:]HOST-PORT:CONTAINER-PORT[/PROTOCOL]");
  }
  return { hostPort: Number(host), containerPort: Number(container), protocol, hostIP: bracketed ?? plain ?? "" };
}

const units: Readonly<Record<string, number>> = { "": 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9 };

/** containerd's burst. */
const burstBits = 2 ** 32 - 1;

/** `10M`: both directions; `10M:5M`: to the pod and from it. */
function bandwidthOf(text: string): Readonly<Record<string, number>> {
  const [ingress, egress, ...more] = text.split(":").map((part) => {
    const [, number, unit = ""] = /^(\d+(?:\.\d+)?)([kKMG]?)$/.exec(part) ?? [];
    return number === undefined ? 0 : Math.floor(Number(number) * (units[unit] ?? 1));
  });
  if (!ingress || egress === 0 || more.length > 0)
    throw usage(`--rate "${text}"`, 'must be bits per second, such as "10M" or "10M:5M"');
  return { ingressRate: ingress, ingressBurst: burstBits, egressRate: egress ?? ingress, egressBurst: burstBits };
}

function usage(option: string, reason: string): CliError {
  return new CliError(`cannot use ${option}: ${reason}`, exitStatus.usage);
}
