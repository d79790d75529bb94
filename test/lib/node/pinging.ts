/** A ping every 10 ms that goes on beside what a test does, and says which of its packets got lost. */
import type { Completed, Node } from "./netns.ts";

export interface Pinged {
  /** The number of the last packet that was answered. */
  readonly last: number;
  /** The numbers of earlier ones that were not. */
  readonly lost: readonly number[];
}

/** Longer than any test pings. */
const timeoutMs = 1_200_000;
let started = 0;

export class Pinging {
  readonly #node: Node;
  readonly #flag: string;
  readonly #ended: Promise<Completed>;

  /** `from`: a pod of the node. */
  constructor(node: Node, from: string, to: string) {
    this.#node = node;
    this.#flag = `/run/.node/pinging-${++started}`;
    const script = `ping -n -i 0.01 ${to} & until [ -e ${this.#flag} ]; do sleep 0.1; done; kill -INT $!; wait $! || true`;
    this.#ended = node.runBeside(["/bin/sh", "-c", script], { in: from, timeoutMs });
  }

  /** Throws if no packet was answered. */
  async stop(): Promise<Pinged> {
    this.#node.sh(`touch ${this.#flag}`);
    const { stdout, stderr } = await this.#ended;
    const answered = new Set([...stdout.matchAll(/ icmp_seq=(\d+) ttl=/g)].map(([, number]) => Number(number)));
    if (answered.size === 0) throw new Error(`no packet was answered: ${stdout.slice(0, 500)}${stderr}`);
    const last = Math.max(...answered);
    const lost = Array.from({ length: last }, (_, index) => index + 1).filter((number) => !answered.has(number));
    return { last, lost };
  }
}
