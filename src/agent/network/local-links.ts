/** Reads the interfaces of this node that are up, with their MTUs. */
import { existsSync, readFileSync } from "node:fs";
import { readInterfaces } from "../address/interfaces.ts";
import type { LocalLink } from "./snapshot.ts";

export function readLocalLinks(): readonly LocalLink[] {
  return readInterfaces().flatMap(({ name, addresses }) => {
    // Pods' interfaces are many, and carry no node's address.
    if (name.startsWith("cali")) return [];
    const mtu = mtuOf(name);
    return mtu === undefined ? [] : [{ name, mtu, addresses }];
  });
}

export function hasLink(name: string): boolean {
  return existsSync(`/sys/class/net/${name}`);
}

/** `undefined`: it is gone. */
function mtuOf(name: string): number | undefined {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/mtu`, "utf8"));
  } catch {
    return undefined;
  }
}
