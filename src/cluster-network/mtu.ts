/** The largest packets that fit through a tunnel. */
import type { NetworkSettings } from "./network-settings.ts";

/** Bytes of the outer headers. */
const overhead = { vxlan: 50, "vxlan-v6": 70, ipip: 20 } as const;

export type TunnelKind = keyof typeof overhead;

/** What the settings say, but never more than the uplink can carry. */
export function tunnelMtu(uplink: number, kind: TunnelKind, settings: NetworkSettings): number {
  const { vxlanMTU, vxlanMTUV6, ipipMTU } = settings;
  const configured = { vxlan: vxlanMTU, "vxlan-v6": vxlanMTUV6, ipip: ipipMTU }[kind];
  return Math.min(configured ?? uplink, uplink - overhead[kind]);
}
