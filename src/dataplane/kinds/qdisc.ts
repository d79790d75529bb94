import { addIngress, addTokenBucket, deleteQdisc, TC_H_INGRESS, TC_H_ROOT } from "../../netlink/qdisc.ts";
import type { Qdisc, TokenBucket } from "../../plan/resource.ts";
import type { MessageDriver } from "../driver.ts";
import { differenceSuffix, type Namespaces } from "../namespaces.ts";

/** The kernel keeps the burst as a time of 64 ns ticks, computed from bytes and rate with rounding (psched_l2t_ns). */
const ticksTolerance = 0.001;
/** Longer times overflow the kernel's field. */
const ticksLimit = 2 ** 32;
const ticksPerSecond = 1e9 / 64;

export const qdiscDriver: MessageDriver<Qdisc> = {
  how: "message",
  describe,
  links: ({ link }) => [link],
  create(qdisc, { indexOf }, replace) {
    const index = indexOf(qdisc.link);
    return qdisc.discipline === "tbf" ? addTokenBucket(index, qdisc, replace) : addIngress(index);
  },
  remove: ({ link, discipline }, { indexOf }) => deleteQdisc(indexOf(link), discipline),
  diff(qdisc, namespaces) {
    const texts = qdisc.discipline === "tbf" ? diffTokenBucket(qdisc, namespaces) : diffIngress(qdisc, namespaces);
    return texts.map((text) => `qdisc ${qdisc.discipline} on ${qdisc.link} ${text}${differenceSuffix(qdisc.at)}`);
  },
  /** A token bucket with other parameters is an outdated one of ours; any other qdisc is foreign. */
  mayReplace: (qdisc, { namespaces }) => qdisc.discipline === "tbf" && rootOf(qdisc, namespaces)?.kind === "tbf",
};

function describe(qdisc: Qdisc): string {
  const { discipline, link } = qdisc;
  if (discipline === "ingress") return `qdisc ingress on ${link}`;
  return `qdisc tbf on ${link} (rate ${qdisc.rateBytes} B/s, burst ${qdisc.burstBytes} B, limit ${qdisc.limitBytes} B)`;
}

function diffTokenBucket(qdisc: TokenBucket, namespaces: Namespaces): readonly string[] {
  const root = rootOf(qdisc, namespaces);
  const found = root?.tokenBucket;
  if (found === undefined) return [root ? `is missing (found ${root.kind})` : "is missing"];
  const texts: string[] = [];
  const { rateBytes, limitBytes, burstBytes } = qdisc;
  if (found.rateBytes !== rateBytes) texts.push(`has rate ${found.rateBytes} B/s, wanted ${rateBytes} B/s`);
  if (found.limitBytes !== limitBytes) texts.push(`has limit ${found.limitBytes} B, wanted ${limitBytes} B`);
  const ticks = (burstBytes / rateBytes) * ticksPerSecond;
  const tolerance = Math.max(2, ticks * ticksTolerance);
  if (found.rateBytes === rateBytes && ticks < ticksLimit && Math.abs(found.bufferTicks - ticks) > tolerance) {
    const foundBurst = Math.round((found.bufferTicks / ticksPerSecond) * rateBytes);
    texts.push(`has burst ${foundBurst} B, wanted ${burstBytes} B`);
  }
  return texts;
}

function diffIngress(qdisc: Qdisc, namespaces: Namespaces): readonly string[] {
  const found = qdiscsOf(qdisc, namespaces).some(({ kind, parent }) => kind === "ingress" && parent === TC_H_INGRESS);
  return found ? [] : ["is missing"];
}

function rootOf(qdisc: Qdisc, namespaces: Namespaces) {
  return qdiscsOf(qdisc, namespaces).find(({ parent }) => parent === TC_H_ROOT);
}

function qdiscsOf({ at, link }: Qdisc, namespaces: Namespaces) {
  const state = namespaces.state(at);
  const index = state.link(link)?.index;
  return index === undefined ? [] : state.qdiscs(index);
}
