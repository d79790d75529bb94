import { setLink } from "../netlink/link.ts";
import type { Place } from "../plan/resource.ts";
import type { Scene } from "./dataplane.ts";
import { placeText, withPlaces } from "./places.ts";
import { refusal, refusedWith } from "./refusal.ts";

/** Sets a link down. That it is down already, or not there, is no error. Throws `CniError` 100 when the kernel refuses. */
export function lowerLink(scene: Scene, place: Place, name: string): void {
  const outcome = withPlaces(scene, (places) => places.conversation(place).request(setLink(name, { up: false })));
  if (outcome.errno === 0 || refusedWith(outcome, "ENODEV")) return;
  throw refusal(`set link ${name} down${placeText(place)}`, outcome);
}
