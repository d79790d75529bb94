/** One pass over a node's plan: the connection, the links that it names, what was changed and what failed. */
import type { Sys } from "../../host/sys.ts";
import { getLink, type Link, readLink } from "../../netlink/link.ts";
import type { Reply, Request } from "../../netlink/message.ts";
import type { NodeResource } from "../../plan/node-plan.ts";
import type { NetlinkConnection, Outcome } from "../connection.ts";
import { hasErrno, KernelError, MissingError, systemCallError } from "../errors.ts";

/** Something that could not be applied, or removed. */
export interface NodeFailure {
  /** In the words of ip(8). */
  readonly what: string;
  /** Absent for an object that could not be removed. */
  readonly resource?: NodeResource;
  readonly error: unknown;
}

/** A request with the object that it is about. */
export interface Step {
  readonly what: () => string;
  readonly resource?: NodeResource;
  readonly request: Request;
}

/**
 * The messages of one send. Each refusal is an answer of a kilobyte that waits in the socket's buffer; and the kernel works on the whole datagram
 * within one system call.
 */
const batchSize = 256;

export class Pass {
  readonly sys: Sys;
  readonly connection: NetlinkConnection;
  applied = 0;
  readonly removed: string[] = [];
  readonly failures: NodeFailure[] = [];
  readonly #links = new Map<string, { readonly link: Link; readonly reply: Reply } | undefined>();

  constructor(sys: Sys, connection: NetlinkConnection) {
    this.sys = sys;
    this.connection = connection;
  }

  /** Looks the links up that are not known yet. */
  learnLinks(names: Iterable<string>): void {
    const unknown = [...new Set(names)].filter((name) => !this.#links.has(name));
    if (unknown.length === 0) return;
    const outcomes = this.connection.exchange(unknown.map((name) => getLink(name)));
    for (const [at, name] of unknown.entries()) this.learn(name, outcomes[at] as Outcome);
  }

  /** The answer to a question for a link. Throws `KernelError`. */
  learn(name: string, outcome: Outcome): void {
    const [reply] = outcome.replies;
    if (reply !== undefined && outcome.errno === 0) this.#links.set(name, { link: readLink(reply), reply });
    else if (hasErrno(outcome, "ENODEV")) this.#links.set(name, undefined);
    else throw new KernelError(["look for", `link ${name}`], outcome);
  }

  forget(name: string): void {
    this.#links.set(name, undefined);
  }

  link(name: string): Link | undefined {
    return this.#links.get(name)?.link;
  }

  /** The kernel's description of the link. */
  replyOf(name: string): Reply | undefined {
    return this.#links.get(name)?.reply;
  }

  /** Throws `MissingError` if there is no such link. */
  indexOf(name: string): number {
    const index = this.link(name)?.index;
    if (index !== undefined) return index;
    throw new MissingError(["find", `link ${name}`], "there is no link with this name");
  }

  /** The name of a link that is known, or a placeholder. */
  nameOf(index: number): string {
    for (const [name, known] of this.#links) if (known?.link.index === index) return name;
    return `link ${index}`;
  }

  fail(what: string, error: unknown, resource?: NodeResource): void {
    this.failures.push({ what, error: systemCallError(["apply", what], error), ...(resource && { resource }) });
  }

  /** Runs a part for one resource; an error is a failure of that resource alone. */
  attempt(what: string, resource: NodeResource | undefined, body: () => void): void {
    try {
      body();
    } catch (error) {
      this.fail(what, error, resource);
    }
  }

  /** Sends the requests in batches; `handle` gets the outcome of each. */
  send<S extends Step>(steps: readonly S[], handle: (step: S, outcome: Outcome) => void): void {
    for (let start = 0; start < steps.length; start += batchSize) {
      const batch = steps.slice(start, start + batchSize);
      const outcomes = this.connection.exchange(batch.map(({ request }) => request));
      for (const [at, step] of batch.entries()) handle(step, outcomes[at] as Outcome);
    }
  }

  /** Deletes objects; one that has vanished meanwhile is not counted. */
  remove(steps: readonly Step[]): void {
    this.send(steps, ({ what }, outcome) => {
      if (outcome.errno === 0) this.removed.push(what());
      else if (!hasErrno(outcome, "ENOENT", "ESRCH", "EADDRNOTAVAIL", "ENODEV")) {
        this.fail(what(), new KernelError(["delete", what()], outcome));
      }
    });
  }
}
