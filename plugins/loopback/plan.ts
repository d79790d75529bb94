/** `lo` up: the kernel gives it its addresses. */
import { ownerOf } from "../../src/identity/attachment.ts";
import type { PlanAdd } from "../../src/plugin/planned.ts";
import { planLo } from "./lo.ts";

export const planAdd: PlanAdd<unknown> = ({ attachment, prevResult }) => ({
  plan: { owner: ownerOf(attachment), resources: planLo([], { claim: true }) },
  result: prevResult ?? {},
});
