/**
 * What Felix has in iptables of a node's pods, without policies: it dispatches by interface, and drops what comes from one that it does not know. Written from
 * its rules (`felix/rules`: dispatch, endpoints, static); the recorded node had none.
 */
const accepted = "0x10000/0x10000";

/** As the input of `iptables-restore --noflush`, for each of the families the same. */
export function felixChains(hostInterfaces: readonly string[]): string {
  const chains = hostInterfaces.flatMap((name) => [`cali-fw-${name}`, `cali-tw-${name}`]);
  return [
    "*filter",
    ...["cali-FORWARD", "cali-from-wl-dispatch", "cali-to-wl-dispatch", ...chains].map((chain) => `:${chain} - [0:0]`),
    "-I FORWARD 1 -m comment --comment cali:wUHhoiAYhphO9Mso -j cali-FORWARD",
    `-A cali-FORWARD -j MARK --set-xmark 0x0/${accepted.split("/")[1]}`,
    "-A cali-FORWARD -i cali+ -j cali-from-wl-dispatch",
    "-A cali-FORWARD -o cali+ -j cali-to-wl-dispatch",
    `-A cali-FORWARD -m mark --mark ${accepted} -m comment --comment "Policy explicitly accepted packet." -j ACCEPT`,
    ...dispatch("cali-from-wl-dispatch", "-i", "cali-fw-"),
    ...dispatch("cali-to-wl-dispatch", "-o", "cali-tw-"),
    ...chains.flatMap((chain) => [
      `-A ${chain} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
      `-A ${chain} -m conntrack --ctstate INVALID -j DROP`,
      `-A ${chain} -j MARK --set-xmark ${accepted}`,
    ]),
    "COMMIT",
    "",
  ].join("\n");

  function dispatch(chain: string, way: string, prefix: string): readonly string[] {
    return [
      ...hostInterfaces.map((name) => `-A ${chain} ${way} ${name} -g ${prefix}${name}`),
      `-A ${chain} -m comment --comment "Unknown interface" -j DROP`,
    ];
  }
}
