/** The names of IPAM's objects: the same as Calico's, so that its tools find them (libcalico-go, backend/k8s/resources). */
import { endpointName } from "../identity/endpoint-name.ts";
import { sha256 } from "../net/digest.ts";
import { canonicalPrefix } from "../net/prefix.ts";
import type { Key } from "./key.ts";

/** The name of the key's object. */
export function nameOf(key: Key): string {
  if ("name" in key) return key.name;
  switch (key.kind) {
    case "IPAMBlock":
      return blockName(key.cidr);
    case "BlockAffinity":
      return affinityName(key.node, key.cidr);
    case "IPAMHandle":
      return handleName(key.handleId);
    case "WorkloadEndpoint":
      return endpointName(key);
  }
}

/** `192.168.185.0/26` gives `192-168-185-0-26`. */
export function blockName(cidr: string): string {
  return cidr.replace(/[.:/]/g, "-");
}

/** The CIDR of a block by its name; `undefined` if it is not the name of a block. */
export function blockCidrOf(name: string): string | undefined {
  const end = name.lastIndexOf("-");
  const separator = /^\d+-\d+-\d+-\d+-\d+$/.test(name) ? "." : ":";
  return canonicalPrefix(`${name.slice(0, Math.max(0, end)).replaceAll("-", separator)}/${name.slice(end + 1)}`);
}

/** `<node>-<block>`; a longer name is shortened, with a digest. */
export function affinityName(node: string, cidr: string): string {
  const block = blockName(cidr);
  const name = `${node}-${block}`;
  if (name.length < 253) return name;
  return `${node.slice(0, 252 - block.length - 13)}-${block}-${sha256(`${node}+${block}`).slice(0, 11)}`;
}

/**
 * The handle's ID if Kubernetes allows it as a name, as all of Calico's are. Other IDs get a digest: Calico converts them to lower case, which
 * maps IDs that differ only in case to one name.
 */
export function handleName(handleId: string): string {
  if (handleId.length <= 200 && /^[a-z0-9][a-z0-9._-]*$/.test(handleId)) return handleId;
  const readable = handleId.toLowerCase().replace(/[^a-z0-9._-]/g, "-");
  return `${readable.slice(0, 180)}-${sha256(handleId).slice(0, 16)}`;
}
