/** The two places of a scene: a netlink conversation in each, opened when it is first needed, and the links that were seen there. */
import { CniError, code } from "../cni/error.ts";
import type { Netns } from "../host/sys.ts";
import type { Link } from "../netlink/link.ts";
import type { Place } from "../plan/resource.ts";
import { Conversation } from "./conversation.ts";
import type { Scene } from "./dataplane.ts";
import { refusedCall } from "./refusal.ts";

export class Places {
  readonly scene: Scene;
  readonly #conversations = new Map<Place, Conversation>();
  readonly #links = new Map<string, Link>();

  constructor(scene: Scene) {
    this.scene = scene;
  }

  /** Throws `CniError` 100 when the place is a sandbox that the scene has not. */
  conversation(place: Place): Conversation {
    let conversation = this.#conversations.get(place);
    if (conversation === undefined) {
      conversation = openConversation(this.scene, place);
      this.#conversations.set(place, conversation);
    }
    return conversation;
  }

  /** Runs `body` with the process in the place; the conversation there is opened on the way, which saves entering twice. */
  inside<T>(place: Place, body: () => T): T {
    if (place === "host") return body();
    const { sys } = this.scene;
    return sys.inNetns(sandboxOf(this.scene), () => {
      if (!this.#conversations.has(place)) {
        this.#conversations.set(place, openConversation({ sys }, "host"));
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
    for (const conversation of this.#conversations.values()) conversation.close();
    this.#conversations.clear();
  }
}

/** Several steps over the same conversations, which end with `body`. */
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

function openConversation(scene: Scene, place: Place): Conversation {
  const netns = place === "host" ? undefined : sandboxOf(scene);
  try {
    return new Conversation(scene.sys.openNetlink("route", netns));
  } catch (error) {
    throw refusedCall(`open a netlink socket${placeText(place)}`, error);
  }
}

function sandboxOf(scene: Scene): Netns {
  if (scene.sandbox === undefined) {
    throw new CniError(code.refused, "cannot work in the sandbox: its network namespace is not there");
  }
  return scene.sandbox;
}
