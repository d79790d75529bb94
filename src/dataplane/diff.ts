/** Compares a plan with the kernel: CHECK. */
import { inOrder } from "../plan/order.ts";
import type { Difference, Plan, Resource } from "../plan/resource.ts";
import { isLink, isMessage, isTable, linkDriver, messageDriver } from "./drivers.ts";
import { diffPorts } from "./iptables/ports.ts";
import { diffSysctls } from "./kinds/sysctl.ts";
import type { Namespaces } from "./namespaces.ts";
import { diffNft } from "./nftables/diff.ts";

/** The differences between the plan and the kernel, in the order of the phases. Changes nothing. */
export function diff(plan: Plan, namespaces: Namespaces): readonly Difference[] {
  const resources = inOrder(plan.resources).filter((resource) => !hangsOnMissingLink(resource, plan, namespaces));
  const sysctls = diffSysctls(
    resources.filter((resource) => resource.kind === "sysctl"),
    namespaces,
  );
  const differences = resources.flatMap((resource) => {
    const texts = resource.kind === "sysctl" ? sysctls.get(resource) : diffOne(resource, namespaces, plan.owner);
    return [texts ?? []].flat().map((text) => ({ resource, text }));
  });
  const tables = resources.filter(isTable);
  const ports = resources.filter((resource) => resource.kind === "iptables-ports");
  return [
    ...differences,
    ...(tables.length === 0 ? [] : diffNft(tables, plan.owner, namespaces.sys)),
    ...ports.flatMap((one) => diffPorts(one, namespaces.sys)),
  ];
}

/** If a link of the plan is missing, its addresses and routes are too; one difference is enough. */
function hangsOnMissingLink(resource: Resource, plan: Plan, namespaces: Namespaces): boolean {
  if (isLink(resource) || isTable(resource) || resource.kind === "iptables-ports") return false;
  return plan.resources.filter(isLink).some((link) =>
    linkDriver(link)
      .ends(link)
      .some(({ place, name }) => {
        const hangs =
          resource.at === place &&
          (isMessage(resource)
            ? messageDriver(resource).links(resource).includes(name)
            : resource.path.split("/").includes(name));
        return hangs && namespaces.state(place).link(name) === undefined;
      }),
  );
}

function diffOne(resource: Resource, namespaces: Namespaces, owner: string): readonly string[] {
  if (isLink(resource)) return linkDriver(resource).diff(resource, namespaces, owner);
  if (!isMessage(resource)) return [];
  const driver = messageDriver(resource);
  const texts = driver.diff(resource, namespaces);
  const instead: readonly Resource[] | undefined =
    texts.length > 0 ? driver.instead?.(resource, namespaces) : undefined;
  return instead === undefined ? texts : instead.flatMap((one) => diffOne(one, namespaces, owner));
}
