/**
 * How to find a node's own address, in the syntax of Calico's `IP_AUTODETECTION_METHOD`:
 *
 *     first-found                    the first address that other nodes could reach
 *     can-reach=HOST                 the source address of packets to the host
 *     interface=REGEX,REGEX          on these interfaces only
 *     skip-interface=REGEX,REGEX     on any interface but these
 *     cidr=CIDR,CIDR                 within one of these networks
 *     kubernetes-internal-ip         the node's InternalIP in Kubernetes
 */
import { canonicalPrefix, maskPrefix } from "../../net/prefix.ts";

export type Method =
  | { readonly kind: "first-found" }
  | { readonly kind: "can-reach"; readonly host: string }
  | { readonly kind: "interface"; readonly names: readonly RegExp[] }
  | { readonly kind: "skip-interface"; readonly names: readonly RegExp[] }
  | { readonly kind: "cidr"; readonly cidrs: readonly string[] }
  | { readonly kind: "kubernetes-internal-ip" };

/** The method, or a description of the expected syntax. */
export function parseMethod(text: string): Method | { readonly wanted: string } {
  const [, kind = "", argument = ""] = /^([^=]*)=?(.*)$/s.exec(text) ?? [];
  const hasArgument = text.includes("=");
  if (hasArgument && argument === "") return { wanted: `"${kind}=" and what follows it` };
  if ((kind === "first-found" || kind === "kubernetes-internal-ip") && !hasArgument) return { kind };
  if (kind === "can-reach" && hasArgument) return { kind, host: argument.trim() };
  if ((kind === "interface" || kind === "skip-interface") && hasArgument) return byName(kind, listed(argument));
  if (kind === "cidr" && hasArgument) return byNetwork(listed(argument));
  return {
    wanted: "first-found, can-reach=HOST, interface=REGEX, skip-interface=REGEX, cidr=CIDR or kubernetes-internal-ip",
  };
}

function byName(kind: "interface" | "skip-interface", texts: readonly string[]): Method | { readonly wanted: string } {
  const names: RegExp[] = [];
  for (const text of texts) {
    try {
      names.push(new RegExp(text));
    } catch {
      return { wanted: `regular expressions separated by commas; ${JSON.stringify(text)} is none` };
    }
  }
  return { kind, names };
}

function byNetwork(texts: readonly string[]): Method | { readonly wanted: string } {
  const cidrs: string[] = [];
  for (const text of texts) {
    const cidr = canonicalPrefix(text);
    if (cidr === undefined) return { wanted: `CIDRs separated by commas; ${JSON.stringify(text)} is none` };
    cidrs.push(maskPrefix(cidr));
  }
  return { kind: "cidr", cidrs };
}

function listed(text: string): readonly string[] {
  return text.split(",").map((part) => part.trim());
}
