/** The two places of a scene: a netlink connection in each, opened when it is first needed, and the links that were seen there. */
import type { Netns } from "../host/sys.ts";
import type { Link } from "../netlink/link.ts";
import type { Place } from "../plan/resource.ts";
import { NetlinkConnection } from "./connection.ts";
import type { Scene } from "./dataplane.ts";
import { MissingError, systemCallError } from "./errors.ts";

export class Places {
  readonly scene: Scene;
  readonly #connections = new Map<Place, NetlinkConnection>();
  readonly #links = new Map<string, Link>();

  constructor(scene: Scene) {
    this.scene = scene;
  }

  /** Throws `MissingError` when the place is a sandbox that the scene has not. */
  connection(place: Place): NetlinkConnection {
    let connection = this.#connections.get(place);
    if (connection === undefined) {
      connection = openConversation(this.scene, place);
      this.#connections.set(place, connection);
    }
    return connection;
  }

  /** Runs `body` with the process in the place; the connection there is opened on the way, which saves entering twice. */
  inside<T>(place: Place, body: () => T): T {
    if (place === "host") return body();
    const { sys } = this.scene;
    return sys.inNetns(sandboxOf(this.scene), () => {
      if (!this.#connections.has(place)) {
        this.#connections.set(place, openConversation({ sys }, "host"));
      }
      return body();
    });
  }

  learn(place: Place, link: Link): void {
    this.#links.set(`${place}:${link.name}`, link);
  }

  /** The link as it was last seen. */
  link(place: Place, name: string): Link | undefined {
    return this.#links.get(`${place}:${name}`);
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }
}

/** Several steps over the same connections, which end with `body`. */
export function withPlaces<T>(scene: Scene, body: (places: Places) => T): T {
  const places = new Places(scene);
  try {
    return body(places);
  } finally {
    places.close();
  }
}

/** ` on the host`, ` in the sandbox`: ends what an error says was tried. */
export function placeText(place: Place): string {
  return place === "host" ? " on the host" : " in the sandbox";
}

/** Ends a difference: the host goes without saying. */
export function differenceSuffix(place: Place): string {
  return place === "host" ? "" : " in the sandbox";
}

function openConversation(scene: Scene, place: Place): NetlinkConnection {
  const netns = place === "host" ? undefined : sandboxOf(scene);
  try {
    return new NetlinkConnection(scene.sys.openNetlink("route", netns));
  } catch (error) {
    throw systemCallError(["open", `a netlink socket${placeText(place)}`], error);
  }
}

function sandboxOf(scene: Scene): Netns {
  if (scene.sandbox === undefined) {
    throw new MissingError(["work in", "the sandbox"], "its network namespace is not there");
  }
  return scene.sandbox;
}
