/** Judges an ifb link. Its name is the owner's alone: without an alias it is what the Go plugin made. */
import type { IfbLink } from "../../plan/resource.ts";
import type { LinkDriver } from "../driver.ts";
import { differenceSuffix } from "../places.ts";
import { isUnclaimed } from "./unclaimed.ts";

export const ifbDriver: LinkDriver<IfbLink> = {
  how: "link",
  judge({ at, name, mtu, txQueueLength }, world) {
    const found = world.view(at).link(name);
    const texts: string[] = [];
    const judge = (what: string, has: string | number | undefined, wanted: string | number | undefined) => {
      if (wanted !== undefined && has !== wanted) texts.push(`has ${what} ${has}, wanted ${wanted}`);
    };
    if (found === undefined) texts.push("is missing");
    else {
      judge("type", found.kind, "ifb");
      judge("mtu", found.mtu, mtu || undefined);
      judge("qlen", found.txQueueLength, txQueueLength);
      if (!isUnclaimed(found, { kind: "ifb" })) judge("alias", `"${found.alias}"`, `"${world.owner}"`);
    }
    return texts.map((text) => `link ${name} ${text}${differenceSuffix(at)}`);
  },
};
