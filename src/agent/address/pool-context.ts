/** The networks around the node, which a default pool must not overlap. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { PoolContext } from "../../ipam/assign/default-pools.ts";
import { type Family, familyOf, formatAddress } from "../../net/address.ts";
import { isOfNode, type LinkAddress, resolversIn } from "../../net/node-networks.ts";
import { formatPrefix } from "../../net/prefix.ts";
import { readInterfaces } from "./interfaces.ts";

export function poolContext(): Pick<PoolContext, "random" | "networks" | "routes"> {
  const routes = routesIn(textOf("/proc/net/route"));
  const resolvers = resolversIn(textOf("/etc/resolv.conf"));
  return {
    random: () => randomBytes(5),
    networks: (family) => ({
      addresses: linkAddresses(family),
      gateways: family === 4 ? routes.flatMap(({ gateway }) => gateway ?? []) : [],
      resolvers: resolvers.filter((address) => familyOf(address) === family),
    }),
    routes: (family) => (family === 4 ? routes.map(({ destination }) => destination) : []),
  };
}

function linkAddresses(family: Family): readonly LinkAddress[] {
  return readInterfaces()
    .flatMap(({ name, addresses }) => addresses.map((address) => ({ link: name, address })))
    .filter((one) => familyOf(one.address) === family && isOfNode(one));
}

export interface Route {
  readonly destination: string;
  /** Of a default route. */
  readonly gateway: string | undefined;
}

/** The routes in proc(5)'s `/proc/net/route`: hexadecimal in host byte order, which is little-endian. */
export function routesIn(text: string): readonly Route[] {
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, destination = "", gateway = "", , , , , mask = ""] = line.trim().split(/\s+/);
      if (!/^[0-9A-F]{8}$/.test(destination) || !/^[0-9A-F]{8}$/.test(mask)) return [];
      const length = bytesOf(mask).reduce((bits, byte) => bits + byte.toString(2).replaceAll("0", "").length, 0);
      const isDefault = length === 0 && gateway !== "00000000";
      return {
        destination: formatPrefix({ bytes: bytesOf(destination), length }),
        gateway: isDefault ? formatAddress(bytesOf(gateway)) : undefined,
      };
    });
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex").reverse());
}

/** Empty if the file does not exist. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
