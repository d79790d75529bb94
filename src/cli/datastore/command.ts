/** `tortie datastore migrate`: calicoctl's steps, and the options of each. */
import type { Cli } from "../cli.ts";
import { command } from "../definition.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { exportObjects } from "./export.ts";
import { importObjects } from "./import.ts";
import { setReady } from "./lock.ts";

const steps = ["lock", "export", "import", "unlock"] as const;

export const migrateCommand = command({
  path: "datastore migrate",
  describe: "Move pools and addresses to a cluster's datastore",
  long:
    "lock makes all agents of a cluster assign nothing more, until unlock. export prints every object: of this node's files, or of a locked cluster. " +
    "import writes them into another cluster's datastore, which stays locked until unlock; it writes nothing if an object is there with other contents. " +
    "The names of the nodes stay.",
  examples: [
    ["$0 datastore migrate export > all.yaml", "from this node's files"],
    ["ETCD_ENDPOINTS=http://10.0.0.1:2379 $0 datastore migrate import -f all.yaml", "into etcd"],
    ["ETCD_ENDPOINTS=http://10.0.0.1:2379 $0 datastore migrate unlock", "from now on addresses are assigned there"],
  ],
  positionals: {
    step: { type: "string", required: true, choices: steps, describe: "what to do" },
  },
  options: {
    filename: {
      type: "strings",
      alias: "f",
      describe: 'what export printed; "-": standard input; may be repeated',
      completes: "file",
    },
  },
  action: (cli, { step, filename }) => migrate(cli, step, filename),
});

async function migrate(cli: Cli, step: (typeof steps)[number], files: readonly string[]): Promise<ExitStatus> {
  if (step === "import") return await importObjects(cli, files);
  if (files.length > 0) throw new CliError(`cannot ${step}: only import has -f`, exitStatus.usage);
  return step === "export" ? await exportObjects(cli) : await setReady(cli, step === "unlock");
}
