/**
 * What a kernel lacks when it refuses part of a table although all that the part names is there: nf_tables loads a module for each kind of chain
 * and expression, and answers ENOENT when there is none (nf_tables_chain_type_lookup, nft_expr_type_get in net/netfilter/nf_tables_api.c).
 */
import { listAttributes, readAttributes, stringOf } from "../../netlink/attribute.ts";
import type { Ack, Request } from "../../netlink/message.ts";
import {
  families,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSETELEM,
  NFTA_RULE_CHAIN,
  NFTA_RULE_EXPRESSIONS,
  NFTA_RULE_TABLE,
  NFTA_SET_NAME,
  nfHeaderLength,
} from "../../netlink/nftables/numbers.ts";
import { readChain, readRule } from "../../netlink/nftables/read.ts";
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
  const attributes = readAttributes(request.payload, nfHeaderLength);
  const family = request.payload[0] === families.ip ? "ip" : "ip6";
  const text = (type: number): string => stringOf(attributes.get(type) ?? new Uint8Array());
  if (request.type === NFT_MSG_NEWCHAIN && hasErrno(ack, "ENOENT")) {
    const { table, name, type } = readChain(request);
    if (type === "") return undefined;
    return missingModule(`chain ${family} ${table} ${name}`, `${type} chains`, `nft_chain_${type}`);
  }
  if (request.type === NFT_MSG_NEWRULE && hasErrno(ack, "ENOENT")) {
    const used = namesIn(attributes.get(NFTA_RULE_EXPRESSIONS)).flatMap((name) => {
      const known = expressions[name];
      return known ? [[known[0], name === "fib" ? `${known[1]}${family === "ip" ? 4 : 6}` : known[1]] as const] : [];
    });
    if (used.length === 0) return undefined;
    const place = `chain ${family} ${text(NFTA_RULE_TABLE)} ${text(NFTA_RULE_CHAIN)}`;
    const what = `rule "${readRule(request).comment ?? ""}" of ${place}`;
    const [purposes, modules] = [used.map(([purpose]) => purpose), used.map(([, module]) => module)];
    return missingModule(what, purposes.join(" or "), modules.join(" "));
  }
  if (request.type === NFT_MSG_NEWSETELEM && hasErrno(ack, "EOVERFLOW")) {
    const reason =
      "the kernel accepts at most 16 bytes of data, but an IPv6 address with a port has 20; IPv6 host ports need Linux 5.8 or newer";
    const map = `map ${family} ${text(NFTA_RULE_TABLE)} ${text(NFTA_SET_NAME)}`;
    return new MissingFeature(["add to", map], { feature: "elements of more than 16 bytes", reason });
  }
  return undefined;
}

function missingModule(what: string, feature: string, module: string): MissingFeature {
  return new MissingFeature(["make", what], { feature, module, reason: `the kernel has no ${feature} in nf_tables` });
}

function namesIn(list: Uint8Array | undefined): readonly string[] {
  return listAttributes(list ?? new Uint8Array()).map(({ value }) =>
    stringOf(readAttributes(value).get(1) ?? new Uint8Array()),
  );
}
