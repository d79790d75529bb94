/** The state of one `apply`: the plan, the links that it found and created, and how to roll back. */
import type { Link } from "../netlink/link.ts";
import type { LinkResource, Place, Plan } from "../plan/resource.ts";
import { MissingError } from "./errors.ts";
import type { PortHolders } from "./iptables/claims.ts";
import { type Namespaces, placeText } from "./namespaces.ts";
import { UndoList } from "./undo.ts";

export interface ApplyOptions {
  /** Whether a host link with this alias may be deleted: it belongs to an earlier sandbox of the same pod. */
  readonly mayReplace?: (alias: string) => boolean;
  /** The caller's knowledge of the holders of host ports in iptables; absent: every holder keeps its ports. */
  readonly portHolders?: PortHolders;
}

export class ApplyRun {
  readonly plan: Plan;
  /** The links of the plan. */
  readonly links: readonly LinkResource[];
  readonly options: ApplyOptions;
  readonly namespaces: Namespaces;
  readonly undo = new UndoList();
  /** Links that this call created, as `<place>:<name>`. */
  readonly created = new Set<string>();
  readonly #indexes = new Map<string, number>();

  constructor(plan: Plan, links: readonly LinkResource[], namespaces: Namespaces, options: ApplyOptions) {
    this.plan = plan;
    this.links = links;
    this.options = options;
    this.namespaces = namespaces;
  }

  learn(place: Place, link: Link): void {
    this.namespaces.learn(place, link);
  }

  learnIndex(place: Place, name: string, index: number): void {
    this.#indexes.set(`${place}:${name}`, index);
  }

  knows(place: Place, name: string): boolean {
    return this.namespaces.link(place, name) !== undefined || this.#indexes.has(`${place}:${name}`);
  }

  /** The link as last seen. */
  link(place: Place, name: string): Link | undefined {
    return this.namespaces.link(place, name);
  }

  indexOf(place: Place, name: string): number {
    const index = this.namespaces.link(place, name)?.index ?? this.#indexes.get(`${place}:${name}`);
    if (index !== undefined) return index;
    throw new MissingError(["find", `link "${name}"${placeText(place)}`], "there is no link with this name");
  }
}
