/**
 * The network namespaces of the host and the sandbox: a netlink connection in each, opened on first use, the links found there, and a cache of
 * the kernel's objects. The process's own namespace is the host's.
 */
import type { Netns, Sys } from "../host/sys.ts";
import type { Link } from "../netlink/link.ts";
import type { Place } from "../plan/resource.ts";
import { NetlinkConnection } from "./connection.ts";
import { MissingError, systemCallError } from "./errors.ts";
import { KernelState } from "./kernel-state.ts";

export class Namespaces {
  readonly sys: Sys;
  /** Absent if it no longer exists or none is needed: then no resource may be at `sandbox`. */
  readonly sandbox: Netns | undefined;
  readonly #connections = new Map<Place, NetlinkConnection>();
  readonly #links = new Map<string, Link>();
  readonly #states = new Map<Place, KernelState>();

  constructor(sys: Sys, sandbox?: Netns) {
    this.sys = sys;
    this.sandbox = sandbox;
  }

  /** Throws `MissingError` if the place is a sandbox that does not exist. */
  connection(place: Place): NetlinkConnection {
    let connection = this.#connections.get(place);
    if (connection === undefined) {
      connection = openConnection(this.sys, place, place === "host" ? undefined : this.#sandbox());
      this.#connections.set(place, connection);
    }
    return connection;
  }

  /** Runs `body` inside the place; opens the connection there if necessary, which saves a second switch. */
  inside<T>(place: Place, body: () => T): T {
    if (place === "host") return body();
    return this.sys.inNetns(this.#sandbox(), () => {
      if (!this.#connections.has(place)) this.#connections.set(place, openConnection(this.sys, place));
      return body();
    });
  }

  /** The kernel's objects there, read once. */
  state(place: Place): KernelState {
    let state = this.#states.get(place);
    if (state === undefined) {
      state = new KernelState(() => this.connection(place));
      this.#states.set(place, state);
    }
    return state;
  }

  /** Discards the cache of a namespace, because it has changed. */
  lookAgain(place: Place): void {
    this.#states.delete(place);
  }

  learn(place: Place, link: Link): void {
    this.#links.set(`${place}:${link.name}`, link);
  }

  /** The link as last found. */
  link(place: Place, name: string): Link | undefined {
    return this.#links.get(`${place}:${name}`);
  }

  sandboxFd(): number {
    return this.#sandbox().fd;
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
    this.#states.clear();
  }

  #sandbox(): Netns {
    if (this.sandbox !== undefined) return this.sandbox;
    throw new MissingError(["work in", "the sandbox"], "its network namespace does not exist");
  }
}

/** ` on the host`, ` in the sandbox`: the end of an attempt in an error. */
export function placeText(place: Place): string {
  return place === "host" ? " on the host" : " in the sandbox";
}

/** The suffix of a difference; empty for the host. */
export function differenceSuffix(place: Place): string {
  return place === "host" ? "" : " in the sandbox";
}

/** Without a namespace, the process is in the place already. */
function openConnection(sys: Sys, place: Place, netns?: Netns): NetlinkConnection {
  try {
    return new NetlinkConnection(sys.openNetlink("route", netns));
  } catch (error) {
    throw systemCallError(["open", `a netlink socket${placeText(place)}`], error);
  }
}
