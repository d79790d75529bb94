/** Results of plugins, for rows that read or construct them. */
import { isNewer, type JsonObject } from "../lib/conflist.ts";
import type { CniResult } from "../lib/runtimes/runner.ts";

/** The addresses of a result of any version, without their prefix lengths. */
export function addressesOf(result: CniResult): readonly string[] {
  const { ip4, ip6 } = result as { readonly ip4?: { readonly ip: string }; readonly ip6?: { readonly ip: string } };
  const all = [...(result.ips ?? []).map(({ address }) => address), ...[ip4, ip6].flatMap((one) => one?.ip ?? [])];
  return all.map((address) => address.replace(/\/.*/, ""));
}

export function newest(versions: readonly string[]): string {
  return [...versions].sort((a, b) => (isNewer(a, b) ? -1 : 1))[0] ?? "1.0.0";
}

/** A result as a chained plugin may receive it, for a container that does not exist. */
export function someResult(cniVersion: string, sandbox: string): JsonObject {
  const labelled = isNewer("1.0.0", cniVersion) ? { version: "4" } : {};
  return {
    cniVersion,
    interfaces: [
      { name: "veth0", mac: "02:00:00:00:00:01" },
      { name: "eth0", mac: "02:00:00:00:00:02", sandbox },
    ],
    ips: [{ ...labelled, address: "10.22.0.2/24", gateway: "10.22.0.1", interface: 1 }],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: {},
  };
}
