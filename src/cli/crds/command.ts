/** `tortie crds`: Calico's custom resources for a cluster without them. */
import type { Cli } from "../cli.ts";
import { type Accepted, command } from "../definition.ts";
import { type ExitStatus, exitStatus } from "../error.ts";
import { formatDocument } from "../resources/document-text.ts";
import { type ApiGroup, apiGroups, customResources } from "./custom-resources.ts";

const options = {
  "api-group": {
    type: "string",
    choices: apiGroups,
    default: apiGroups[0],
    describe: "the group of the objects, as CALICO_API_GROUP names it",
  },
} as const;

export const crdsCommand = command({
  path: "crds",
  describe: "Print the custom resources that a Kubernetes cluster needs",
  long:
    "CustomResourceDefinitions in Calico's shape of the objects that Tortie reads and writes. Only for a cluster without Calico: " +
    "Calico's own definitions know more fields, which these would remove.",
  examples: [
    ["$0 crds | kubectl apply -f -", "in the current cluster"],
    ["$0 crds --api-group projectcalico.org/v3 | kubectl apply -f -", "for CALICO_API_GROUP=projectcalico.org/v3"],
  ],
  options,
  hides: ["config", "run-dir", "state-dir", "node"],
  action: printCrds,
});

function printCrds(cli: Cli, { apiGroup }: Accepted<object, typeof options>): ExitStatus {
  cli.out(crdsText(apiGroups.find((one) => one === apiGroup)));
  return exitStatus.done;
}

export function crdsText(group: ApiGroup = apiGroups[0]): string {
  const documents = customResources(group).map((resource) => formatDocument(resource, "yaml"));
  const options = group === apiGroups[0] ? "" : ` --api-group ${group}`;
  return `# Printed by "tortie crds${options}".\n${documents.join("---\n")}`;
}
