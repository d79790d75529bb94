/**
 * The feature that a kernel lacks if it refuses a part of a table although everything that the part refers to exists: nf_tables loads a module for
 * each kind of chain and expression, and answers ENOENT without one (nf_tables_chain_type_lookup, nft_expr_type_get in
 * net/netfilter/nf_tables_api.c).
 */
import type { Ack, Request } from "../../netlink/message.ts";
import { readAddition } from "../../netlink/nftables/addition.ts";
import { hasErrno, MissingFeature } from "../errors.ts";

/** The expressions in modules of their own, with their purpose. The others are built into nf_tables. */
const expressions: { readonly [name: string]: readonly [purpose: string, module: string] } = {
  ct: ["conntrack matches", "nft_ct"],
  fib: ["fib lookups", "nft_fib_ipv"],
  masq: ["masquerading", "nft_masq"],
  nat: ["destination NAT", "nft_nat"],
};

/**
 * The feature that the kernel lacks, from its refusal of one request of a transaction; `undefined` if the refusal does not mean that. **ENOENT
 * means it only if everything that the request refers to exists or is created in the same transaction.**
 */
export function missingFeature(request: Request, ack: Ack): MissingFeature | undefined {
  const added = readAddition(request);
  if (added === undefined) return undefined;
  const { family, table } = added;
  if (added.adds === "chain" && hasErrno(ack, "ENOENT")) {
    const { name, type } = added;
    if (type === "") return undefined;
    return missingModule(`chain ${family} ${table} ${name}`, `${type} chains`, `nft_chain_${type}`);
  }
  if (added.adds === "rule" && hasErrno(ack, "ENOENT")) {
    const used = added.expressions.flatMap((name) => {
      const known = expressions[name];
      return known ? [[known[0], name === "fib" ? `${known[1]}${family === "ip" ? 4 : 6}` : known[1]] as const] : [];
    });
    if (used.length === 0) return undefined;
    const what = `rule "${added.comment ?? ""}" of chain ${family} ${table} ${added.chain}`;
    const [purposes, modules] = [used.map(([purpose]) => purpose), used.map(([, module]) => module)];
    return missingModule(what, purposes.join(" or "), modules.join(" "));
  }
  if (added.adds === "elements" && hasErrno(ack, "EOVERFLOW")) {
    const reason =
      "the kernel accepts at most 16 bytes of data, but an IPv6 address with a port has 20; IPv6 host ports need Linux 5.8 or newer";
    const map = `map ${family} ${table} ${added.set}`;
    return new MissingFeature(["add to", map], { feature: "elements of more than 16 bytes", reason });
  }
  return undefined;
}

function missingModule(what: string, feature: string, module: string): MissingFeature {
  return new MissingFeature(["make", what], { feature, module, reason: `the kernel has no ${feature} in nf_tables` });
}
