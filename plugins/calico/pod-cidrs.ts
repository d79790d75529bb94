/**
 * The words of Calico's conflists for `host-local` in Kubernetes, which stand for the node's own ranges:
 *
 *     "ipam": {"type": "host-local", "subnet": "usePodCidr"}                                            Node's podCIDR of IPv4
 *     "ipam": {"type": "host-local", "ranges": [[{"subnet": "usePodCidr"}], [{"subnet": "usePodCidrIPv6"}]]}
 *
 * The node agent reads the ranges, and `host-local` gets them in place of the words.
 */
import { CniError, code } from "../../src/cni/error.ts";
import type { Sys } from "../../src/host/sys.ts";
import { type Family, familyOf } from "../../src/net/address.ts";
import { canonicalPrefix } from "../../src/net/prefix.ts";
import { withDocument } from "../../src/plugin/delegate.ts";
import { ask, usesAgent } from "../../src/plugin/node-agent.ts";
import type { JsonObject } from "../../src/plugin/plugin.ts";

interface Request {
  readonly document: JsonObject;
  readonly text: string;
}

type SubnetOf = (family: Family, word: string) => string;

const words: Readonly<Record<string, Family>> = { usepodcidr: 4, usepodcidripv6: 6 };
/** DEL and GC of host-local find addresses by their files, so any range will do, and no agent is needed. */
const anyRange: Readonly<Record<Family, string>> = { 4: "0.0.0.0/0", 6: "::/0" };

/** Throws `CniError` 7 without Kubernetes or if the node's ranges do not fit, 11 while the node has none. */
export function withPodCidrs<R extends Request>(request: R, named: string | (() => string), sys: Sys): R {
  let cidrs: readonly string[] | undefined;
  return replaced(request, (family, word) => {
    if (!usesAgent(request.document)) throw refusal(word, 'only "datastore_type" "kubernetes" has podCIDRs');
    const node = typeof named === "string" ? named : named();
    cidrs ??= ask(sys, { op: "pod-cidrs", nodename: node }).podCidrs ?? [];
    if (cidrs.length === 0)
      throw new CniError(
        code.tryAgainLater,
        `cannot use "${word}": node "${node}" has no podCIDR; kube-controller-manager assigns it with --allocate-node-cidrs`,
      );
    const [cidr, second] = cidrs.filter((one) => canonicalPrefix(one) !== undefined && familyOf(one) === family);
    if (cidr === undefined) throw refusal(word, `node "${node}" has no podCIDR of IPv${family}: ${cidrs.join(", ")}`);
    if (second !== undefined)
      throw refusal(word, `node "${node}" has two podCIDRs of IPv${family}: ${cidr}, ${second}`);
    return cidr;
  });
}

/** For DEL and GC. */
export function withAnyPodCidrs<R extends Request>(request: R): R {
  return replaced(request, (family) => anyRange[family]);
}

function refusal(word: string, reason: string): CniError {
  return new CniError(code.invalidConfig, `cannot use "${word}" of "ipam": ${reason}`);
}

function replaced<R extends Request>(request: R, subnetOf: SubnetOf): R {
  const { ipam } = request.document;
  if (!isObject(ipam) || ipam.type !== "host-local") return request;
  const { ranges } = ipam;
  const own = withSubnet(ipam, subnetOf);
  const changed = Array.isArray(ranges)
    ? ranges.map((set) => (Array.isArray(set) ? set.map((range) => withSubnet(range, subnetOf)) : set))
    : ranges;
  const isSame = own === ipam && JSON.stringify(changed) === JSON.stringify(ranges);
  if (isSame) return request;
  return withDocument(request, {
    ...request.document,
    ipam: { ...(own as JsonObject), ...(ranges !== undefined && { ranges: changed }) },
  });
}

function withSubnet(range: unknown, subnetOf: SubnetOf): unknown {
  if (!isObject(range) || typeof range.subnet !== "string") return range;
  const family = words[range.subnet.toLowerCase()];
  return family === undefined ? range : { ...range, subnet: subnetOf(family, range.subnet) };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
