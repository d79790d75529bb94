/** An ifb device. Its name is unique to the owner, so one without an alias was created by the Go plugin. */
import type { IfbLink } from "../../plan/resource.ts";
import type { ApplyRun } from "../apply-run.ts";
import { differenceSuffix, placeText } from "../namespaces.ts";
import { mayDelete, nameConflict, updateLink } from "./adoption.ts";
import type { Adoption, LinkDriver } from "./driver.ts";
import { isUnclaimed } from "./signature.ts";

const signature = { kind: "ifb" } as const;

export const ifbDriver: LinkDriver<IfbLink> = {
  how: "link",
  module: "ifb",
  describe,
  ends: ({ at, name }) => [{ place: at, name }],
  create: (ifb) => ifb,
  signature: () => signature,
  adopt,
  diff({ at, name, mtu, txQueueLength }, namespaces, owner) {
    const found = namespaces.state(at).link(name);
    const texts: string[] = [];
    const compare = (what: string, has: string | number | undefined, wanted: string | number | undefined) => {
      if (wanted !== undefined && has !== wanted) texts.push(`has ${what} ${has}, wanted ${wanted}`);
    };
    if (found === undefined) texts.push("is missing");
    else {
      compare("type", found.kind, "ifb");
      compare("mtu", found.mtu, mtu || undefined);
      compare("qlen", found.txQueueLength, txQueueLength);
      if (!isUnclaimed(found, signature)) compare("alias", `"${found.alias}"`, `"${owner}"`);
    }
    return texts.map((text) => `link ${name} ${text}${differenceSuffix(at)}`);
  },
};

function describe({ at, name }: IfbLink): string {
  return `ifb "${name}"${placeText(at)}`;
}

function adopt(ifb: IfbLink, run: ApplyRun): Adoption {
  const found = run.link(ifb.at, ifb.name);
  if (found === undefined) return { old: undefined };
  if (found.kind === "ifb" && found.alias === run.plan.owner) {
    updateLink(run, ifb.at, found, { mtu: ifb.mtu, txQueueLength: ifb.txQueueLength });
    return "adopted";
  }
  if (isUnclaimed(found, signature) || mayDelete(found, run)) return { old: found };
  throw nameConflict(describe(ifb), found);
}
