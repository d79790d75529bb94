/** The plans of a chain for people, for a shell, and for programs. */
import { show } from "../../plan/show.ts";
import type { PluginPlan } from "./chain.ts";

export const formats = ["text", "sh", "json"] as const;

export function renderPlans(plans: readonly PluginPlan[], format: (typeof formats)[number]): string {
  if (format === "json") return `${JSON.stringify(plans.map(asDocument), undefined, 2)}\n`;
  const blocks = plans.map(({ type, planned }) => {
    if (planned === undefined) return `# ${type}: not planned, because it is a foreign plugin\n`;
    const commands = show(planned.plan);
    return commands.length === 0 ? `# ${type}: nothing to do\n` : `# ${type}\n${commands.join("\n")}\n`;
  });
  return (format === "sh" ? [header, ...blocks] : blocks).join("\n");
}

const header = `#!/bin/sh
# Does the same as an ADD on a node without these objects. Run it as root, with CNI_NETNS set.
set -e
: "\${CNI_NETNS:?set it to the path of the pod's network namespace}"
`;

function asDocument({ type, planned }: PluginPlan): unknown {
  return { type, ...(planned && { plan: planned.plan, commands: show(planned.plan), result: planned.result }) };
}
