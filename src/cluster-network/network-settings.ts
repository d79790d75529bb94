/**
 * Settings of the network between nodes, in Calico's order: the agent's own (`FELIX_…`), the FelixConfiguration of the node (`node.<name>`), the one of the
 * cluster (`default`).
 */
import { canonicalAddress } from "../net/address.ts";
import type { StoredObject } from "../store/object.ts";

/** What each level may set; `undefined`: the next one decides. An MTU of 0 counts as not set. */
export interface NetworkSettings {
  readonly vxlanMTU?: number | undefined;
  readonly vxlanMTUV6?: number | undefined;
  readonly vxlanVNI?: number | undefined;
  readonly vxlanPort?: number | undefined;
  readonly ipipMTU?: number | undefined;
  /** Whether the agent routes to pools without encapsulation; if not, BGP does. */
  readonly programClusterRoutes?: "Enabled" | "EnabledIPIPOnly" | "Disabled" | undefined;
  /** What the kernel or the network card cannot do, whatever it says: `ChecksumOffloadBroken=true`, and other features of Felix. */
  readonly featureDetectOverride?: string | undefined;
  /** Where pods keep their own addresses. */
  readonly natOutgoingExclusions?: "IPPoolsOnly" | "IPPoolsAndHostIPs" | undefined;
  /** The source ports of translated TCP and UDP: `1024-65535`. */
  readonly natPortRange?: string | undefined;
  /** Canonical. */
  readonly natOutgoingAddress?: string | undefined;
  /** `eth*` for every interface whose name begins so; iptables and Calico write `eth+`. */
  readonly iptablesNATOutgoingInterfaceFilter?: string | undefined;
  readonly floatingIPs?: "Enabled" | "Disabled" | undefined;
  /** Whether pods may name networks from which they send, beside their addresses. */
  readonly workloadSourceSpoofing?: "Any" | "Disabled" | undefined;
}

export const defaultVni = 4096;
export const defaultVxlanPort = 4789;
const maxPort = 65_535;

/** `undefined` for a value that is not valid. */
type Readers = { readonly [K in keyof NetworkSettings]-?: (value: unknown) => NetworkSettings[K] };

const readers: Readers = {
  vxlanMTU: numberBetween(0, 65_535),
  vxlanMTUV6: numberBetween(0, 65_535),
  vxlanVNI: numberBetween(0, 16_777_215),
  vxlanPort: numberBetween(1, maxPort),
  ipipMTU: numberBetween(0, 65_535),
  programClusterRoutes: oneOf("Enabled", "EnabledIPIPOnly", "Disabled"),
  featureDetectOverride: (value) => (typeof value === "string" ? value : undefined),
  natOutgoingExclusions: oneOf("IPPoolsOnly", "IPPoolsAndHostIPs"),
  natPortRange: portRange,
  natOutgoingAddress: (value) => (typeof value === "string" ? canonicalAddress(value) : undefined),
  iptablesNATOutgoingInterfaceFilter: interfaceFilter,
  floatingIPs: oneOf("Enabled", "Disabled"),
  workloadSourceSpoofing: oneOf("Any", "Disabled"),
};

const settingNames = Object.keys(readers) as readonly (keyof NetworkSettings)[];

function numberBetween(minimum: number, maximum: number) {
  return (value: unknown): number | undefined => {
    const isValid = typeof value === "number" && Number.isInteger(value) && value >= minimum && value <= maximum;
    return isValid ? value : undefined;
  };
}

function oneOf<T extends string>(...values: readonly T[]) {
  return (value: unknown): T | undefined => values.find((one) => one === value);
}

/** Calico's `1024:65535`, or one port, as a number or a text. */
export function portRange(value: unknown): string | undefined {
  const match = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(String(value));
  if (match === null) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
  return first >= 1 && first <= last && last <= maxPort ? `${first}-${last}` : undefined;
}

/** As nft writes it. `+` alone is every interface, and so no filter. */
export function interfaceFilter(value: unknown): string | undefined {
  if (typeof value !== "string" || !/^[\w:.-]{1,15}$|^[\w:.-]{1,14}\+$/.test(value)) return undefined;
  return value.replace(/\+$/, "*");
}

/** `configurations`: those of the datastore, in any order. A value that is not valid counts as not set. */
export function resolveSettings(
  own: NetworkSettings,
  configurations: readonly StoredObject[],
  node: string,
): NetworkSettings {
  const named = (name: string) => {
    const { spec = {} } = configurations.find(({ metadata }) => metadata.name === name) ?? {};
    return spec as Readonly<Record<string, unknown>>;
  };
  const levels = [named(`node.${node}`), named("default")];
  const isSet = (value: unknown) => value !== undefined && value !== 0;
  return Object.fromEntries(
    settingNames.map((name) => [name, [own[name], ...levels.map((level) => readers[name](level[name]))].find(isSet)]),
  );
}

/** The values of the node's configurations that are not valid, each as a sentence. A cluster of Kubernetes with Calico's schemas refuses most of them. */
export function faultsOfSettings(configurations: readonly StoredObject[], node: string): readonly string[] {
  return configurations
    .filter(({ metadata: { name } }) => name === "default" || name === `node.${node}`)
    .flatMap(({ metadata, spec }) => {
      const values = spec as Readonly<Record<string, unknown>>;
      const faulty = settingNames.filter(
        (name) => (values[name] ?? undefined) !== undefined && readers[name](values[name]) === undefined,
      );
      return faulty.map((name) => {
        const value = JSON.stringify(values[name]);
        return `FelixConfiguration "${metadata.name}": ${name} has no valid value, and counts as not set: ${value}`;
      });
    });
}

/** Whether packets whose checksum is to be filled in get lost in VXLAN; only on request, because the kernel cannot tell. */
export function isChecksumOffloadBroken({ featureDetectOverride = "" }: NetworkSettings): boolean {
  const features = featureDetectOverride.split(",").map((one) => one.trim().toLowerCase());
  return features.includes("checksumoffloadbroken=true");
}
