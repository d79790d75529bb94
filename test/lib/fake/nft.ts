/**
 * A strict model of nf_tables and ctnetlink that reads the same bytes as the kernel: atomic transactions, generations, EEXIST, ENOENT, EBUSY,
 * ERESTART. It prints its state in the style of nft (only the comments of rules).
 */
import { addressBytes, formatAddress } from "../../../src/net/address.ts";
import {
  type Attributes,
  align,
  be32Of,
  listAttributes,
  readAttributes,
  stringOf,
  u32Of,
} from "../../../src/netlink/codec/attribute.ts";
import { AttributeWriter } from "../../../src/netlink/codec/attribute-writer.ts";
import * as nf from "../../../src/netlink/codec/nft-numbers.ts";
import {
  decodeDatagram,
  encodeDatagram,
  NLM_F_ACK,
  NLM_F_EXCL,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  type Reply,
} from "../../../src/netlink/message.ts";
import { newChain, newTable } from "../../../src/netlink/nftables/nftables.ts";
import { readSet, type SetEntry } from "../../../src/netlink/nftables/read.ts";
import { type DataType, decodeFields } from "../../../src/netlink/nftables/type.ts";

const EPERM = 1;
const EBUSY = 16;
const EEXIST = 17;
const ENOENT = 2;
const EINVAL = 22;
const EOVERFLOW = 75;
const ERESTART = 85;
const EOPNOTSUPP = 95;
const familyNames: { readonly [family: number]: string } = { 2: "ip", 10: "ip6" };
const typeNames: { readonly [id: number]: DataType } = {
  7: "ipv4_addr",
  8: "ipv6_addr",
  12: "inet_proto",
  13: "inet_service",
  19: "mark",
};

interface Element {
  readonly raw: Uint8Array;
  readonly key: Uint8Array;
  readonly data: Uint8Array | undefined;
  readonly jump: string | undefined;
  readonly comment: string | undefined;
  readonly end: boolean;
}

interface SetState {
  readonly payload: Uint8Array;
  readonly entry: SetEntry;
  readonly elements: Map<string, Element>;
}

interface ChainState {
  readonly payload: Uint8Array;
  readonly rules: Uint8Array[];
}

interface TableState {
  readonly sets: Map<string, SetState>;
  readonly chains: Map<string, ChainState>;
}

type State = Map<string, TableState>;

/** Not an `Error`, which would capture a stack thousands of times. */
class Refusal {
  readonly errno: number;
  constructor(errno: number) {
    this.errno = errno;
  }
}

export class FakeNft {
  #state: State = new Map();
  #generation = 1;
  /** The number of datagrams received. */
  datagrams = 0;
  /** The number of refused transactions: the kernel waits a grace period for each. */
  rolledBack = 0;
  /** Called before a transaction is processed: the turn of another process. */
  before: (() => void) | undefined;
  /** The flows of connection tracking. */
  flows: FakeFlow[] = [];
  /** The flows that were requested to be deleted: `ip udp 5353`, `ip6 tcp 8080 to 192.0.2.1 answered by 10.0.0.5`. */
  readonly forgotten: string[] = [];
  /** A kernel before 5.8, which supports no filter. */
  isOld = false;
  /** The caller lacks the permission for netfilter: EPERM (nfnetlink_rcv in net/netfilter/nfnetlink.c). */
  isForbidden = false;
  /** Modules that this kernel lacks; `nf_tables` stands for all of nf_tables. */
  readonly missingModules = new Set<string>();
  /** Whether dumps of rules contain more attributes than were set, as newer kernels do. */
  addsAttributes = false;
  /** The maximum size of an element's data in bytes: 16 before Linux 5.8. */
  longestDatum = 64;

  /** Returns the answers to one datagram, each a datagram. */
  handle(datagram: Uint8Array): Uint8Array[] {
    this.datagrams++;
    const messages = decodeDatagram(datagram);
    if (this.isForbidden) return messages.map((message) => ack(message, EPERM));
    if (this.missingModules.has("nf_tables")) return withoutNft(messages);
    if (messages[0]?.type === nf.NFNL_MSG_BATCH_BEGIN) {
      const before = this.before;
      this.before = undefined;
      before?.();
      return this.#transaction(messages);
    }
    return messages.flatMap((message) => this.#question(message));
  }

  /** An administrator flushes a chain: `("ip t", "c")`. */
  flushChain(table: string, chain: string): void {
    const found = this.#state.get(table)?.chains.get(chain);
    if (found === undefined) throw new Error(`no chain ${chain} in ${table}`);
    found.rules.length = 0;
  }

  /** Another program creates a chain, and the table if necessary: `("ip", "nat", "PREROUTING")`. */
  addChain(family: "ip" | "ip6", table: string, chain: string): void {
    for (const { type, flags, payload } of [
      newTable({ family, table }),
      newChain({ family, table }, { name: chain }),
    ]) {
      change(this.#state, { type, flags, payload, sequence: 0 });
    }
  }

  /** An administrator removes a set that no rule refers to. */
  removeSet(table: string, set: string): void {
    if (!this.#state.get(table)?.sets.delete(set)) throw new Error(`no set ${set} in ${table}`);
  }

  /** An administrator removes a chain. */
  removeChain(table: string, chain: string): void {
    if (!this.#state.get(table)?.chains.delete(chain)) throw new Error(`no chain ${chain} in ${table}`);
  }

  /** An administrator removes an element: `("ip t", "m", "0,1")`, the key in bytes. */
  removeElement(table: string, set: string, key: string): void {
    if (!this.#state.get(table)?.sets.get(set)?.elements.delete(key)) throw new Error(`no element ${key} in ${set}`);
  }

  /** The whole state, sorted, as text. */
  print(): string {
    const lines: string[] = [];
    for (const [name, table] of [...this.#state].sort(([one], [other]) => (one < other ? -1 : 1))) {
      lines.push(`table ${name} {`);
      for (const [set, { entry, elements }] of table.sets) {
        const shown = [...elements.values()].map((element) => printElement(entry, element)).sort();
        const kind = entry.flags & nf.NFT_SET_MAP ? "map" : "set";
        if (shown.length > 0 || entry.comment !== undefined) {
          lines.push(`  ${kind} ${set}${entry.comment === undefined ? "" : ` # ${entry.comment}`}`);
        }
        lines.push(...shown.map((line) => `    ${line}`));
      }
      lines.push(
        ...[...table.chains].map(([chain, { rules }]) => `  chain ${chain}: ${rules.map(commentOf).join(", ")}`),
      );
      lines.push("}");
    }
    return lines.join("\n");
  }

  #transaction(messages: readonly Reply[]): Uint8Array[] {
    const [begin, ...rest] = messages as [Reply, ...Reply[]];
    const wanted = readAttributes(begin.payload, nf.nfHeaderLength).get(1);
    if (wanted && be32Of(wanted) !== this.#generation) return [ack(begin, ERESTART)];
    const inner = rest.slice(0, -1);
    if (rest.at(-1)?.type !== nf.NFNL_MSG_BATCH_END)
      throw new Error("a batch without an end: the kernel would drop it");
    const draft = copyOf(this.#state);
    const answers: Uint8Array[] = [];
    let failed = false;
    for (const message of inner) {
      try {
        this.#refuseLacking(message);
        change(draft, message);
        if (message.flags & NLM_F_ACK) answers.push(ack(message, 0));
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        failed = true;
        answers.push(ack(message, error.errno));
      }
    }
    if (failed) {
      this.rolledBack++;
    } else {
      this.#state = draft;
      this.#generation++;
    }
    return answers;
  }

  /** Refuses what needs a missing module, like nf_tables_chain_type_lookup, nft_expr_type_get and nft_data_init. */
  #refuseLacking({ type, payload }: Reply): void {
    const attributes = readAttributes(payload, nf.nfHeaderLength);
    const needed =
      type === nf.NFT_MSG_NEWCHAIN && attributes.has(nf.NFTA_CHAIN_HOOK)
        ? [`nft_chain_${text(attributes, nf.NFTA_CHAIN_TYPE)}`]
        : type === nf.NFT_MSG_NEWRULE
          ? expressionsOf(attributes).map(({ name }) => moduleOf(name, familyNames[payload[0] ?? 0]))
          : [];
    if (needed.some((module) => this.missingModules.has(module))) throw new Refusal(ENOENT);
    if (type !== nf.NFT_MSG_NEWSETELEM) return;
    if (elementsOf(attributes).some(({ data }) => (data?.length ?? 0) > this.longestDatum))
      throw new Refusal(EOVERFLOW);
  }

  #question(message: Reply): Uint8Array[] {
    try {
      const replies = this.#answer(message);
      const isDump = (message.flags & 0x300) === 0x300;
      const acked = (message.flags & NLM_F_ACK) !== 0 ? [ack(message, 0)] : [];
      return [
        ...replies.map(({ type, payload }) => reply(message, type, payload)),
        ...(isDump ? [done(message)] : acked),
      ];
    } catch (error) {
      if (error instanceof Refusal) return [ack(message, error.errno)];
      throw error;
    }
  }

  #answer(message: Reply): readonly { readonly type: number; readonly payload: Uint8Array }[] {
    const { type, payload } = message;
    const attributes = readAttributes(payload, nf.nfHeaderLength);
    const family = familyNames[payload[0] ?? 0];
    const table = (): TableState => tableIn(this.#state, payload, attributes);
    switch (type) {
      case 0x101:
        return this.flows
          .filter((flow) => flow.family === family)
          .map((flow) => ({ type: 0x100, payload: flowPayload(flow) }));
      case 0x102:
        this.#forget(payload, attributes);
        return [];
      case nf.NFT_MSG_GETGEN:
        return [{ type: nf.NFT_MSG_NEWGEN, payload: new AttributeWriter().word(0).be32(1, this.#generation).finish() }];
      case nf.NFT_MSG_GETTABLE: {
        const { sets, chains } = table();
        const writer = new AttributeWriter().word(0).be32(nf.NFTA_TABLE_USE, sets.size + chains.size);
        return [{ type: nf.NFT_MSG_NEWTABLE, payload: writer.finish() }];
      }
      case nf.NFT_MSG_GETSET:
        if ((message.flags & 0x300) === 0)
          return [{ type: nf.NFT_MSG_NEWSET, payload: setIn(table(), attributes).payload }];
        return [...(this.#find(payload, attributes)?.sets.values() ?? [])].map(({ payload: own }) => ({
          type: nf.NFT_MSG_NEWSET,
          payload: own,
        }));
      case nf.NFT_MSG_GETCHAIN:
        if ((message.flags & 0x300) === 0) return [chainAsked(table(), attributes)];
        return [...this.#state]
          .filter(([name]) => name.startsWith(`${family} `))
          .flatMap(([, { chains }]) => [...chains.values()])
          .map(({ payload: own }) => ({ type: nf.NFT_MSG_NEWCHAIN, payload: own }));
      case nf.NFT_MSG_GETRULE:
        return (this.#find(payload, attributes)?.chains.get(text(attributes, nf.NFTA_RULE_CHAIN))?.rules ?? []).map(
          (own) => ({ type: nf.NFT_MSG_NEWRULE, payload: this.addsAttributes ? withBitwiseOp(own) : own }),
        );
      case nf.NFT_MSG_GETSETELEM:
        return elementsAsked(setIn(table(), attributes), payload, attributes);
      case NLMSG_NOOP:
        return [];
      default:
        throw new Error(`the model does not know message ${type}`);
    }
  }

  #forget(payload: Uint8Array, attributes: Attributes): void {
    const family = familyNames[payload[0] ?? 0];
    if (!attributes.has(25)) {
      const named = this.flows.find((flow) => flow.family === family && sameFlow(flow, attributes));
      if (named === undefined) throw new Refusal(EINVAL);
      this.flows = this.flows.filter((flow) => flow !== named);
      return;
    }
    if (this.isOld) throw new Refusal(EINVAL);
    const { protocol, port, destination, answerer } = filterOf(attributes);
    const words = [family, protocol, port, destination && `to ${destination}`, answerer && `answered by ${answerer}`];
    this.forgotten.push(words.filter((word) => word !== undefined).join(" "));
    this.flows = this.flows.filter(
      (flow) =>
        flow.family !== family ||
        (protocol !== undefined && flow.protocol !== protocol) ||
        (port !== undefined && flow.port !== port) ||
        (destination !== undefined && flow.destination !== destination) ||
        (answerer !== undefined && flow.answerer !== answerer),
    );
  }

  #find(payload: Uint8Array, attributes: Attributes): TableState | undefined {
    return this.#state.get(`${familyNames[payload[0] ?? 0]} ${text(attributes, 1)}`);
  }
}

/** A netfilter socket of a kernel without nf_tables (nfnetlink_rcv_batch, nfnetlink_rcv_msg in net/netfilter/nfnetlink.c). */
function withoutNft(messages: readonly Reply[]): Uint8Array[] {
  const [first] = messages;
  if (first?.type === nf.NFNL_MSG_BATCH_BEGIN) return [ack(first, EOPNOTSUPP)];
  return messages.map((message) => ack(message, EINVAL));
}

/** The highest attribute of each object and expression in Linux 4.19: an older kernel ignores higher ones and does not dump them. */
const known: { readonly [message: number]: number } = {
  [nf.NFT_MSG_NEWTABLE]: 4,
  [nf.NFT_MSG_NEWCHAIN]: 8,
  [nf.NFT_MSG_NEWRULE]: 9,
  [nf.NFT_MSG_NEWSET]: 16,
  [nf.NFT_MSG_NEWSETELEM]: 4,
};
const highestElementAttribute = 9;
const knownOfExpressions: { readonly [name: string]: number } = {
  bitwise: 5,
  cmp: 3,
  ct: 4,
  fib: 3,
  immediate: 2,
  lookup: 5,
  masq: 3,
  meta: 3,
  nat: 7,
  payload: 8,
  range: 4,
};

/** Throws if a message uses something that the oldest supported kernel does not have. */
function refuseNewer({ type, payload }: Reply): void {
  const attributes = readAttributes(payload, nf.nfHeaderLength);
  refuseAbove(`message ${type}`, payload.subarray(nf.nfHeaderLength), known[type]);
  if (type === nf.NFT_MSG_NEWSETELEM) {
    for (const { raw } of elementsOf(attributes)) refuseAbove("an element", raw, highestElementAttribute);
  }
  if (type !== nf.NFT_MSG_NEWRULE) return;
  for (const { name, bytes } of expressionsOf(attributes)) {
    refuseAbove(`expression ${name}`, bytes, knownOfExpressions[name] ?? 0);
  }
}

function refuseAbove(what: string, bytes: Uint8Array, highest = Number.POSITIVE_INFINITY): void {
  const newer = listAttributes(bytes).find(({ type }) => type > highest);
  if (newer) throw new Error(`${what} has attribute ${newer.type}, which Linux 4.19 does not know`);
}

interface RuleExpression {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly data: Attributes;
}

function expressionsOf(attributes: Attributes): readonly RuleExpression[] {
  return listAttributes(attributes.get(nf.NFTA_RULE_EXPRESSIONS) ?? new Uint8Array()).map(({ value }) => {
    const expression = readAttributes(value);
    const bytes = expression.get(2) ?? new Uint8Array();
    return { name: text(expression, 1), bytes, data: readAttributes(bytes) };
  });
}

/** Adds NFTA_BITWISE_OP, which Linux 5.6 and later dump: NFT_BITWISE_BOOL (0). */
function withBitwiseOp(rule: Uint8Array): Uint8Array {
  const writer = new AttributeWriter().word(u32Of(rule));
  for (const { type, value } of listAttributes(rule, nf.nfHeaderLength)) {
    if (type !== nf.NFTA_RULE_EXPRESSIONS) writer.bytes(type, value);
    else {
      writer.nest(type, () => {
        for (const { name, bytes } of expressionsOf(readAttributes(rule, nf.nfHeaderLength))) {
          writer.nest(1, () => {
            writer.string(1, name).nest(2, () => {
              for (const part of listAttributes(bytes)) writer.bytes(part.type, part.value);
              if (name === "bitwise") writer.be32(6, 0);
            });
          });
        }
      });
    }
  }
  return writer.finish();
}

/** The expressions that are built into nf_tables need no module. */
function moduleOf(expression: string, family: string | undefined): string {
  return expression === "fib" ? `nft_fib_ip${family === "ip" ? "v4" : "v6"}` : `nft_${expression}`;
}

function change(state: State, message: Reply): void {
  const { type, flags, payload } = message;
  refuseNewer(message);
  const attributes = readAttributes(payload, nf.nfHeaderLength);
  const name = `${familyNames[payload[0] ?? 0]} ${text(attributes, 1)}`;
  switch (type) {
    case nf.NFT_MSG_NEWTABLE:
      if (!attributes.has(nf.NFTA_TABLE_NAME)) throw new Refusal(EINVAL);
      if (!state.has(name)) state.set(name, { sets: new Map(), chains: new Map() });
      return;
    case nf.NFT_MSG_DELTABLE:
      if (!state.delete(name)) throw new Refusal(ENOENT);
      return;
    case nf.NFT_MSG_NEWSET: {
      const { sets } = tableIn(state, payload, attributes);
      const entry = readSet({ type, flags, payload, sequence: 0 });
      if (sets.has(entry.name)) throw new Refusal(EEXIST);
      sets.set(entry.name, { payload, entry, elements: new Map() });
      return;
    }
    case nf.NFT_MSG_DELSET:
      if (!tableIn(state, payload, attributes).sets.delete(text(attributes, nf.NFTA_SET_NAME)))
        throw new Refusal(ENOENT);
      return;
    case nf.NFT_MSG_NEWCHAIN: {
      const { chains } = tableIn(state, payload, attributes);
      const chain = text(attributes, nf.NFTA_CHAIN_NAME);
      if (chains.has(chain)) throw new Refusal(EEXIST);
      chains.set(chain, { payload, rules: [] });
      return;
    }
    case nf.NFT_MSG_DELCHAIN: {
      const table = tableIn(state, payload, attributes);
      const chain = text(attributes, nf.NFTA_CHAIN_NAME);
      if (!table.chains.has(chain)) throw new Refusal(ENOENT);
      if (jumpsTo(table, chain) > 0) throw new Refusal(EBUSY);
      table.chains.delete(chain);
      return;
    }
    case nf.NFT_MSG_NEWRULE:
      addRule(tableIn(state, payload, attributes), payload, attributes);
      return;
    case nf.NFT_MSG_DELRULE: {
      const chain = tableIn(state, payload, attributes).chains.get(text(attributes, nf.NFTA_RULE_CHAIN));
      if (chain === undefined) throw new Refusal(ENOENT);
      chain.rules.length = 0;
      return;
    }
    case nf.NFT_MSG_NEWSETELEM:
      addElements(tableIn(state, payload, attributes), attributes, (flags & NLM_F_EXCL) !== 0);
      return;
    case nf.NFT_MSG_DELSETELEM: {
      const { elements } = setIn(tableIn(state, payload, attributes), attributes);
      if (!attributes.has(nf.NFTA_SET_ELEM_LIST_ELEMENTS)) elements.clear();
      for (const { key, end } of elementsOf(attributes)) {
        if (!elements.delete(keyOf(key, end))) throw new Refusal(ENOENT);
      }
      return;
    }
    case NLMSG_NOOP:
      // nfnetlink_rcv_batch (net/netfilter/nfnetlink.c) refuses netlink's control messages.
      throw new Refusal(EINVAL);
    default:
      throw new Error(`the model does not know message ${type}`);
  }
}

function addRule(table: TableState, payload: Uint8Array, attributes: Attributes): void {
  const chain = table.chains.get(text(attributes, nf.NFTA_RULE_CHAIN));
  if (chain === undefined) throw new Refusal(ENOENT);
  for (const { name, data } of expressionsOf(attributes)) {
    if (name === "lookup" && !table.sets.has(text(data, 1))) throw new Refusal(ENOENT);
    const jump = jumpIn(data.get(2));
    if (name === "immediate" && jump && !table.chains.has(jump)) throw new Refusal(ENOENT);
  }
  chain.rules.push(payload);
}

function addElements(table: TableState, attributes: Attributes, exclusive: boolean): void {
  const { elements, entry } = setIn(table, attributes);
  for (const element of elementsOf(attributes)) {
    const name = keyOf(element.key, element.end);
    const isMap = (entry.flags & nf.NFT_SET_MAP) !== 0;
    if (isMap !== (element.data !== undefined || element.jump !== undefined)) throw new Refusal(EINVAL);
    if (element.jump !== undefined && !table.chains.has(element.jump)) throw new Refusal(ENOENT);
    const there = elements.get(name);
    if (there && (exclusive || String(there.data) !== String(element.data))) throw new Refusal(EEXIST);
    if (!there) elements.set(name, element);
  }
  if ((entry.flags & nf.NFT_SET_INTERVAL) !== 0) refuseOverlaps([...elements.values()]);
}

/** Intervals of one set must not overlap: no interval may begin before the end of the preceding one. */
function refuseOverlaps(elements: readonly Element[]): void {
  let open = false;
  for (const { end } of [...elements].sort(byKey)) {
    if (!end && open) throw new Refusal(EEXIST);
    open = !end;
  }
}

/** Sorts by key, an end before a start: an interval may begin where another one ends. */
function byKey(one: Element, other: Element): number {
  const length = Math.min(one.key.length, other.key.length);
  let at = 0;
  while (at < length && one.key[at] === other.key[at]) at++;
  const difference = (one.key[at] ?? -1) - (other.key[at] ?? -1);
  return difference === 0 ? Number(other.end) - Number(one.end) : difference;
}

/** One chain with its NFTA_CHAIN_USE. */
function chainAsked(table: TableState, attributes: Attributes) {
  const chain = table.chains.get(text(attributes, nf.NFTA_CHAIN_NAME));
  if (chain === undefined) throw new Refusal(ENOENT);
  const use = new AttributeWriter()
    .be32(nf.NFTA_CHAIN_USE, chain.rules.length + jumpsTo(table, text(attributes, nf.NFTA_CHAIN_NAME)))
    .finish();
  const payload = new Uint8Array(align(chain.payload.length) + use.length);
  payload.set(chain.payload);
  payload.set(use, align(chain.payload.length));
  return { type: nf.NFT_MSG_NEWCHAIN, payload };
}

/** The number of elements and rules that jump to a chain. */
function jumpsTo(table: TableState, chain: string): number {
  const elements = [...table.sets.values()].flatMap((set) => [...set.elements.values()]);
  const expressions = [...table.chains.values()]
    .flatMap(({ rules }) => rules)
    .flatMap((rule) =>
      listAttributes(readAttributes(rule, nf.nfHeaderLength).get(nf.NFTA_RULE_EXPRESSIONS) ?? new Uint8Array()),
    );
  const targets = [
    ...elements.map(({ jump }) => jump),
    ...expressions.map(({ value }) => jumpIn(readAttributes(readAttributes(value).get(2) ?? new Uint8Array()).get(2))),
  ];
  return targets.filter((target) => target === chain).length;
}

/** The chain in the data of a verdict. */
function jumpIn(datum: Uint8Array | undefined): string | undefined {
  if (datum === undefined || datum.length < 8) return undefined;
  try {
    const verdict = readAttributes(datum).get(2);
    const chain = verdict && readAttributes(verdict).get(2);
    return chain && stringOf(chain);
  } catch {
    return undefined;
  }
}

function elementsOf(attributes: Attributes): readonly Element[] {
  return listAttributes(attributes.get(nf.NFTA_SET_ELEM_LIST_ELEMENTS) ?? new Uint8Array()).map(({ value: raw }) => {
    const parts = readAttributes(raw);
    const data = parts.get(nf.NFTA_SET_ELEM_DATA);
    const remark = parts.get(nf.NFTA_SET_ELEM_USERDATA);
    return {
      raw,
      key: readAttributes(parts.get(nf.NFTA_SET_ELEM_KEY) ?? new Uint8Array()).get(1) ?? new Uint8Array(),
      data: data && readAttributes(data).get(1),
      jump: jumpIn(data),
      comment: remark && stringOf(remark.subarray(2)),
      end: parts.has(nf.NFTA_SET_ELEM_FLAGS),
    };
  });
}

function elementsAsked(
  { elements, entry }: SetState,
  payload: Uint8Array,
  attributes: Attributes,
): readonly { readonly type: number; readonly payload: Uint8Array }[] {
  const asked = attributes.has(nf.NFTA_SET_ELEM_LIST_ELEMENTS)
    ? elementsOf(attributes).map(({ key }) => {
        const found = elements.get(keyOf(key, false));
        if (found === undefined) throw new Refusal(ENOENT);
        return found;
      })
    : [...elements.values()];
  const writer = new AttributeWriter().octets(payload[0] ?? 0, 0, 0, 0);
  writer.string(1, text(attributes, 1)).string(2, entry.name);
  writer.nest(nf.NFTA_SET_ELEM_LIST_ELEMENTS, () => {
    for (const { raw } of asked) writer.bytes(1, raw);
  });
  return [{ type: nf.NFT_MSG_NEWSETELEM, payload: writer.finish() }];
}

function tableIn(state: State, payload: Uint8Array, attributes: Attributes): TableState {
  const table = state.get(`${familyNames[payload[0] ?? 0]} ${text(attributes, 1)}`);
  if (table === undefined) throw new Refusal(ENOENT);
  return table;
}

function setIn(table: TableState, attributes: Attributes): SetState {
  const set = table.sets.get(text(attributes, 2));
  if (set === undefined) throw new Refusal(ENOENT);
  return set;
}

function copyOf(state: State): State {
  return new Map(
    [...state].map(([name, { sets, chains }]) => [
      name,
      {
        sets: new Map([...sets].map(([set, one]) => [set, { ...one, elements: new Map(one.elements) }])),
        chains: new Map([...chains].map(([chain, one]) => [chain, { ...one, rules: [...one.rules] }])),
      },
    ]),
  );
}

function printElement(entry: SetEntry, { key, data, jump, comment, end }: Element): string {
  const remark = comment === undefined ? "" : ` comment "${comment}"`;
  const target = jump
    ? ` : jump ${jump}`
    : data
      ? ` : ${decodeFields(fieldsOf(entry.dataType), data).join(" . ")}`
      : "";
  return `${end ? "before " : ""}${decodeFields(fieldsOf(entry.keyType), key).join(" . ")}${remark}${target}`;
}

function fieldsOf(type: number): readonly DataType[] {
  const fields: DataType[] = [];
  for (let rest = type; rest > 0; rest >>= 6) fields.unshift(typeNames[rest & 63] as DataType);
  return fields;
}

function commentOf(rule: Uint8Array): string {
  const data = readAttributes(rule, nf.nfHeaderLength).get(nf.NFTA_RULE_USERDATA);
  return data ? stringOf(data.subarray(2)) : "?";
}

/** A flow of connection tracking. */
export interface FakeFlow {
  readonly family: "ip" | "ip6";
  readonly protocol: "tcp" | "udp" | "sctp";
  /** The original destination. */
  readonly destination: string;
  readonly port: number;
  /** The address that answers. */
  readonly answerer: string;
}

const protocolNumbers = { tcp: 6, udp: 17, sctp: 132 } as const;
const flowSource = "198.51.100.9";

function tupleOf(writer: AttributeWriter, type: number, flow: FakeFlow): void {
  const address = addressBytes(type === 1 ? flow.destination : flow.answerer);
  const four = address.length === 4;
  const source = four ? addressBytes(flowSource) : addressBytes("2001:db8:51::9");
  const [from, to] = type === 1 ? [source, address] : [address, source];
  writer.nest(type, () => {
    writer.nest(1, () => void writer.bytes(four ? 1 : 3, from).bytes(four ? 2 : 4, to));
    writer.nest(2, () => void writer.u8(1, protocolNumbers[flow.protocol]).be16(type === 1 ? 3 : 2, flow.port));
  });
}

function flowPayload(flow: FakeFlow): Uint8Array {
  const writer = new AttributeWriter().octets(flow.family === "ip" ? 2 : 10, 0, 0, 0);
  tupleOf(writer, 1, flow);
  tupleOf(writer, 2, flow);
  return writer.finish();
}

/** Whether a tuple matches a flow. */
function sameFlow(flow: FakeFlow, attributes: Attributes): boolean {
  const own = readAttributes(flowPayload(flow), nf.nfHeaderLength).get(1);
  return String(own) === String(attributes.get(1));
}

function filterOf(attributes: Attributes): {
  protocol?: string;
  port?: number;
  destination?: string;
  answerer?: string;
} {
  const flags = readAttributes(attributes.get(25) ?? new Uint8Array());
  const nested = (type: number, part: number) =>
    readAttributes(readAttributes(attributes.get(type) ?? new Uint8Array()).get(part) ?? new Uint8Array());
  const flagsOf = (type: number) => (flags.get(type) ?? new Uint8Array(4))[0] ?? 0;
  const orig = flagsOf(1);
  const address = (type: number, ...kinds: readonly number[]) =>
    formatAddress(kinds.map((kind) => nested(type, 1).get(kind)).find((bytes) => bytes !== undefined) as Uint8Array);
  const number = nested(1, 2).get(1)?.[0];
  const port = nested(1, 2).get(3) ?? new Uint8Array(2);
  return {
    ...(orig & 8 && { protocol: Object.entries(protocolNumbers).find(([, one]) => one === number)?.[0] ?? "?" }),
    ...(orig & 32 && { port: ((port[0] ?? 0) << 8) | (port[1] ?? 0) }),
    ...(orig & 2 && { destination: address(1, 2, 4) }),
    ...(flagsOf(2) & 1 && { answerer: address(2, 1, 3) }),
  };
}

function keyOf(key: Uint8Array, end: boolean): string {
  return `${end ? "before " : ""}${key.join(",")}`;
}

function text(attributes: Attributes, type: number): string {
  return stringOf(attributes.get(type) ?? new Uint8Array());
}

/** The error code, then the request's header and payload. */
function ack(message: Reply, errno: number): Uint8Array {
  const header = new AttributeWriter().word(-errno).word(16 + message.payload.length);
  const start = header.halves(message.type, message.flags).word(message.sequence).word(0).finish();
  const payload = new Uint8Array(start.length + message.payload.length);
  payload.set(start);
  payload.set(message.payload, start.length);
  return reply(message, NLMSG_ERROR, payload);
}

function done(message: Reply): Uint8Array {
  return reply(message, NLMSG_DONE, new AttributeWriter().word(0).finish());
}

function reply(message: Reply, type: number, payload: Uint8Array): Uint8Array {
  return encodeDatagram([{ type, flags: 0, payload }], message.sequence);
}
