/** What one `apply` knows while it runs: the links it met, those it made, and how to take back what it did. */
import type { Link } from "../netlink/link.ts";
import type { Place, Plan } from "../plan/resource.ts";
import type { ApplyOptions } from "./apply.ts";
import type { Scene } from "./dataplane.ts";
import { MissingError } from "./errors.ts";
import { Places, placeText } from "./places.ts";
import { UndoList } from "./undo.ts";

export class Stage {
  readonly plan: Plan;
  readonly options: ApplyOptions;
  readonly places: Places;
  readonly undo = new UndoList();
  /** Links that this call made, as `<place>:<name>`. */
  readonly created = new Set<string>();
  readonly #indexes = new Map<string, number>();

  constructor(plan: Plan, scene: Scene, options: ApplyOptions) {
    this.plan = plan;
    this.options = options;
    this.places = options.places ?? new Places(scene);
  }

  learn(place: Place, link: Link): void {
    this.places.learn(place, link);
  }

  learnIndex(place: Place, name: string, index: number): void {
    this.#indexes.set(`${place}:${name}`, index);
  }

  knows(place: Place, name: string): boolean {
    return this.places.link(place, name) !== undefined || this.#indexes.has(`${place}:${name}`);
  }

  /** The link as it was last seen. */
  link(place: Place, name: string): Link | undefined {
    return this.places.link(place, name);
  }

  indexOf(place: Place, name: string): number {
    const index = this.places.link(place, name)?.index ?? this.#indexes.get(`${place}:${name}`);
    if (index === undefined) {
      throw new MissingError(["find", `link "${name}"${placeText(place)}`], "there is no link of this name");
    }
    return index;
  }

  /** Ends what `apply` began: connections that were handed to it go on. */
  close(): void {
    if (this.options.places === undefined) this.places.close();
  }

  sandboxFd(): number {
    const { sandbox } = this.places.scene;
    if (sandbox === undefined) {
      throw new MissingError(["make", "a veth"], "the sandbox's network namespace is not there");
    }
    return sandbox.fd;
  }
}
