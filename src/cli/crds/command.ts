/** `tortie crds`: Calico's custom resources for a cluster without them. */
import { command } from "../definition.ts";
import { exitStatus } from "../error.ts";
import { formatDocument } from "../resources/document-text.ts";
import { customResources } from "./custom-resources.ts";

export const crdsCommand = command({
  path: "crds",
  describe: "Print the custom resources that a Kubernetes cluster needs",
  long:
    "CustomResourceDefinitions in Calico's shape of the objects that Tortie reads and writes. Only for a cluster without Calico: " +
    "Calico's own definitions know more fields, which these would remove.",
  examples: [["$0 crds | kubectl apply -f -", "in the current cluster"]],
  hides: ["config", "run-dir", "state-dir", "node"],
  action: (cli) => {
    cli.out(crdsText());
    return exitStatus.done;
  },
});

export function crdsText(): string {
  const documents = customResources().map((resource) => formatDocument(resource, "yaml"));
  return `# Printed by "tortie crds".\n${documents.join("---\n")}`;
}
