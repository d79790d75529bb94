/**
 * What a kernel lacks when it refuses part of a table although all that the part names is there: nf_tables loads a module for each kind of chain
 * and expression, and answers ENOENT when there is none (nf_tables_chain_type_lookup, nft_expr_type_get in net/netfilter/nf_tables_api.c).
 */
import type { Ack, Request } from "../../netlink/message.ts";
import { readAddition } from "../../netlink/nftables/addition.ts";
import { hasErrno, MissingFeature } from "../errors.ts";

/** The expressions that are modules of their own, and what they do. The rest is in nf_tables itself. */
const expressions: { readonly [name: string]: readonly [purpose: string, module: string] } = {
  ct: ["conntrack matches", "nft_ct"],
  fib: ["fib lookups", "nft_fib_ipv"],
  masq: ["masquerading", "nft_masq"],
  nat: ["destination NAT", "nft_nat"],
};

/**
 * The refusal of one request of a transaction, in terms of what the kernel lacks; `undefined` when it says nothing of that. **ENOENT says so
 * only where everything that the request names is there or made in the same transaction.**
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
