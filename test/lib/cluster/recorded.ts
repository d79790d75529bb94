/** What was recorded of Calico's plugins, and what ours write, made comparable: without times, and with the same blocks. */

export type Fields = Readonly<Record<string, unknown>>;

/** A block, and whose it is. */
export interface Block {
  readonly node: string;
  readonly cidr: string;
}

type BlockName = string | undefined | { readonly cidr: string };

/** A text in which the addresses and names of some blocks are those of others of the same size. */
export function renumbered(text: string, from: readonly BlockName[], to: readonly BlockName[]): string {
  return from.reduce<string>((result, block, index) => {
    const [own, other] = [block, to[index]].map((one) => (typeof one === "object" ? one.cidr : one));
    if (own === undefined || other === undefined) return result;
    return [".", "-"].reduce((part, separator) => moved(part, own, other, separator), result);
  }, text);
}

function moved(text: string, from: string, to: string, separator: string): string {
  const [start = 0, target = 0] = [from, to].map((cidr) => Number(cidr.replace(/\/.*/, "").split(".").at(-1)));
  const [head = "", otherHead = ""] = [from, to].map((cidr) => cidr.split(".").slice(0, 3).join(separator) + separator);
  const size = 2 ** (32 - Number(from.split("/")[1]));
  return text.replaceAll(new RegExp(`(?<![\\d.])${head.replaceAll(".", "\\.")}(\\d+)`, "g"), (found, last: string) => {
    const offset = Number(last) - start;
    return offset < 0 || offset >= size ? found : `${otherHead}${target + offset}`;
  });
}

/** Of the custom resource, or of the value in etcd. */
export function comparableBlock(spec: Fields): Fields {
  const {
    affinityClaimTime,
    affinity_claim_time = affinityClaimTime,
    attributes,
    sequenceNumber,
    sequenceNumberForAllocation,
    ...others
  } = spec;
  const numbers = Object.entries(sequenceNumberForAllocation as Readonly<Record<string, number | bigint>>);
  const last = BigInt(sequenceNumber as number | bigint);
  return {
    ...others,
    hasClaimTime: typeof affinity_claim_time === "string",
    attributes: (attributes as readonly Fields[]).map(comparableAttribute),
    // Counted back from the block's own: each write adds one.
    ages: Object.fromEntries(numbers.map(([ordinal, number]) => [ordinal, Number(last - BigInt(number))])),
  };
}

function comparableAttribute({ handle_id, secondary, ...others }: Fields): Fields {
  const { timestamp, interface: _ours, ...more } = secondary as Readonly<Record<string, string>>;
  const isTime = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \+0000 UTC$/.test(timestamp ?? "");
  return { handle_id, secondary: more, isTime, ...others };
}
