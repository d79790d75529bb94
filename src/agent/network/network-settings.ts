/**
 * Settings of the network between nodes, in Calico's order: the agent's own (`FELIX_…`), the FelixConfiguration of the node (`node.<name>`), the one of the
 * cluster (`default`).
 */
import type { StoredObject } from "../../store/object.ts";

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
}

const numbers = {
  vxlanMTU: [0, 65_535],
  vxlanMTUV6: [0, 65_535],
  vxlanVNI: [0, 16_777_215],
  vxlanPort: [1, 65_535],
  ipipMTU: [0, 65_535],
} as const;

export const defaultVni = 4096;
export const defaultVxlanPort = 4789;

/** `configurations`: those of the datastore, in any order. */
export function resolveSettings(
  own: NetworkSettings,
  configurations: readonly StoredObject[],
  node: string,
): NetworkSettings {
  const named = (name: string) => settingsIn(configurations.find(({ metadata }) => metadata.name === name));
  const levels = [own, named(`node.${node}`), named("default")];
  const first = <K extends keyof NetworkSettings>(key: K) =>
    levels.map((level) => level[key]).find((value) => value !== undefined && value !== 0);
  return {
    vxlanMTU: first("vxlanMTU"),
    vxlanMTUV6: first("vxlanMTUV6"),
    vxlanVNI: first("vxlanVNI"),
    vxlanPort: first("vxlanPort"),
    ipipMTU: first("ipipMTU"),
    programClusterRoutes: first("programClusterRoutes"),
    featureDetectOverride: first("featureDetectOverride"),
  };
}

/** A value that is not valid counts as not set. */
function settingsIn(configuration: StoredObject | undefined): NetworkSettings {
  const spec = (configuration?.spec ?? {}) as Readonly<Record<string, unknown>>;
  const found = Object.entries(numbers).flatMap(([key, [minimum, maximum]]) => {
    const value = spec[key];
    const isValid = typeof value === "number" && Number.isInteger(value) && value >= minimum && value <= maximum;
    return isValid ? [[key, value]] : [];
  });
  const routes = spec.programClusterRoutes;
  const isKnown = routes === "Enabled" || routes === "EnabledIPIPOnly" || routes === "Disabled";
  const override = spec.featureDetectOverride;
  return {
    ...Object.fromEntries(found),
    ...(isKnown && { programClusterRoutes: routes }),
    ...(typeof override === "string" && { featureDetectOverride: override }),
  };
}

/** Whether packets whose checksum is to be filled in get lost in VXLAN; only on request, because the kernel cannot tell. */
export function isChecksumOffloadBroken({ featureDetectOverride = "" }: NetworkSettings): boolean {
  const features = featureDetectOverride.split(",").map((one) => one.trim().toLowerCase());
  return features.includes("checksumoffloadbroken=true");
}
