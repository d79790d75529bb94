/** The sysctls of a node's plan: written only where they differ. */
import type { Sysctl } from "../../plan/resource.ts";
import { diffSysctls, writeSysctls } from "../kinds/sysctl.ts";
import { Namespaces } from "../namespaces.ts";
import type { Pass } from "./pass.ts";

export function setSysctls(sysctls: readonly Sysctl[], pass: Pass): void {
  const namespaces = new Namespaces(pass.sys);
  for (const sysctl of sysctls) {
    pass.attempt(describeSysctl(sysctl), sysctl, () => {
      if (diffSysctls([sysctl], namespaces).size === 0) return;
      writeSysctls([sysctl], namespaces);
      pass.applied++;
    });
  }
}

function describeSysctl({ path }: Sysctl): string {
  return `sysctl ${path}`;
}
