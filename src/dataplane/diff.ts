/** Compares a plan with the kernel: CHECK. */
import { inOrder } from "../plan/order.ts";
import type { Difference, Place, Plan, Resource } from "../plan/resource.ts";
import type { Scene } from "./dataplane.ts";
import type { World } from "./driver.ts";
import { isLink, isMessage, isTable, type LinkResource, linkDriver, messageDriver } from "./drivers.ts";
import { isTaken } from "./kinds/route.ts";
import { judgeSysctls } from "./kinds/sysctl.ts";
import { diffNft } from "./nftables/diff.ts";
import { Places } from "./places.ts";
import { View } from "./view.ts";

/** What the plan says and the kernel does not hold, in the order of the phases. Changes nothing. */
export function diff(plan: Plan, scene: Scene): readonly Difference[] {
  const places = new Places(scene);
  try {
    const world = worldOf(plan, places);
    const resources = inOrder(plan.resources).filter((resource) => !hangsOnMissingLink(resource, plan, world));
    const sysctls = judgeSysctls(
      resources.filter((resource) => resource.kind === "sysctl"),
      places,
    );
    const differences = resources.flatMap((resource) => {
      const texts = resource.kind === "sysctl" ? sysctls.get(resource) : judge(resource, world);
      return [texts ?? []].flat().map((text) => ({ resource, text }));
    });
    const tables = resources.filter(isTable);
    return tables.length === 0 ? differences : [...differences, ...diffNft(tables, plan.owner, scene.sys)];
  } finally {
    places.close();
  }
}

/** Of a link of the plan that is missing one difference is enough: what belongs on it is missing with it. */
function hangsOnMissingLink(resource: Resource, plan: Plan, world: World): boolean {
  if (isLink(resource) || isTable(resource)) return false;
  return plan.resources.filter(isLink).some((link) =>
    endsOf(link).some(([place, name]) => {
      const hangs =
        resource.at === place &&
        (isMessage(resource)
          ? messageDriver(resource).links(resource).includes(name)
          : resource.path.split("/").includes(name));
      return hangs && world.view(place).link(name) === undefined;
    }),
  );
}

function endsOf(link: LinkResource): readonly (readonly [Place, string])[] {
  if (link.kind === "ifb") return [[link.at, link.name]];
  return [
    ["host", link.host.name],
    ["sandbox", link.sandbox.name],
  ];
}

function judge(resource: Resource, world: World): readonly string[] {
  if (isLink(resource)) return linkDriver(resource).judge(resource, world);
  if (!isMessage(resource)) return [];
  const texts = messageDriver(resource).judge(resource, world);
  if (texts.length === 0 || resource.kind !== "route" || !resource.instead || !isTaken(resource, world)) return texts;
  return resource.instead.flatMap((one) => judge(one, world));
}

function worldOf(plan: Plan, places: Places): World {
  const views: { readonly [P in Place]: View } = {
    host: new View(() => places.connection("host")),
    sandbox: new View(() => places.connection("sandbox")),
  };
  return { owner: plan.owner, view: (place) => views[place] };
}
