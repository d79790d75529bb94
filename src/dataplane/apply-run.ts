/** What one `apply` knows while it runs: the plan, the links that it met and made, and how to take back what it did. */
import type { Link } from "../netlink/link.ts";
import type { LinkResource, Place, Plan } from "../plan/resource.ts";
import { MissingError } from "./errors.ts";
import type { PortHolders } from "./iptables/claims.ts";
import { type Namespaces, placeText } from "./namespaces.ts";
import { UndoList } from "./undo.ts";

export interface ApplyOptions {
  /** Whether a host link with this alias may be deleted: it belongs to an earlier sandbox of the same pod. */
  readonly mayReplace?: (alias: string) => boolean;
  /** What the caller knows of holders of host ports in iptables; absent: every holder keeps its ports. */
  readonly portHolders?: PortHolders;
}

export class ApplyRun {
  readonly plan: Plan;
  /** Those of the plan. */
  readonly links: readonly LinkResource[];
  readonly options: ApplyOptions;
  readonly namespaces: Namespaces;
  readonly undo = new UndoList();
  /** Links that this call made, as `<place>:<name>`. */
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

  /** The link as it was last seen. */
  link(place: Place, name: string): Link | undefined {
    return this.namespaces.link(place, name);
  }

  indexOf(place: Place, name: string): number {
    const index = this.namespaces.link(place, name)?.index ?? this.#indexes.get(`${place}:${name}`);
    if (index !== undefined) return index;
    throw new MissingError(["find", `link "${name}"${placeText(place)}`], "there is no link with this name");
  }
}
