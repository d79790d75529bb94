/** The attributes stored with an address: Calico's keys, and the interface. */

export interface Workload {
  readonly node: string;
  readonly ifname: string;
  readonly pod: { readonly namespace: string; readonly name: string } | undefined;
}

/** Keys in alphabetical order, as in Calico's JSON. */
export function attributesOf(
  { node, ifname, pod }: Workload,
  clock: { readonly seconds: number; readonly nanoseconds: number },
): Readonly<Record<string, string>> {
  return {
    interface: ifname,
    ...(pod !== undefined && { namespace: pod.namespace }),
    node,
    ...(pod !== undefined && { pod: pod.name }),
    timestamp: goTime(clock),
  };
}

/** Go's time.String() in UTC: `2022-07-26 17:35:23.756365378 +0000 UTC`, without trailing zeros of the fraction. */
function goTime({ seconds, nanoseconds }: { readonly seconds: number; readonly nanoseconds: number }): string {
  const [day = "", rest = ""] = new Date(seconds * 1000).toISOString().split("T");
  const fraction = nanoseconds === 0 ? "" : `.${nanoseconds.toString().padStart(9, "0").replace(/0+$/, "")}`;
  return `${day} ${rest.slice(0, 8)}${fraction} +0000 UTC`;
}
