/** `tortie ipam configure`: the settings of IPAM, Calico's `IPAMConfig` "default". */
import { readIpamConfig } from "../../ipam/model/settings.ts";
import { read, type Transaction } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { withoutWrites } from "../resources/dry-run.ts";
import { type Change, writeResource } from "../resources/write.ts";
import { readStore, storeType, writeStore } from "../store.ts";

export interface ConfigureOptions {
  readonly strictaffinity?: boolean | undefined;
  readonly maxBlocksPerHost?: number | undefined;
  readonly ipCooldownSeconds?: number | undefined;
  readonly dryRun?: boolean | undefined;
}

export async function configureIpam(cli: Cli, { dryRun = false, ...options }: ConfigureOptions): Promise<ExitStatus> {
  const { strictaffinity: strictAffinity, maxBlocksPerHost, ipCooldownSeconds } = options;
  const all = { strictAffinity, maxBlocksPerHost, ipCooldownSeconds };
  const wanted = Object.entries(all).filter(([, value]) => value !== undefined);
  if (wanted.length === 0) {
    throw new CliError(
      "cannot configure: wanted --strictaffinity, --max-blocks-per-host or --ip-cooldown-seconds",
      exitStatus.usage,
    );
  }
  const change = configure(cli, Object.fromEntries(wanted));
  if (dryRun) await readStore(cli, withoutWrites(change));
  else await writeStore(cli, change);
  for (const [key, value] of wanted) {
    cli.out(`Successfully set ${propertyOf(key)} to: ${value}${dryRun ? " (dry run)" : ""}\n`);
  }
  return exitStatus.done;
}

/** `strictAffinity` is calicoctl's `StrictAffinity`. */
export function propertyOf(key: string): string {
  return (key.charAt(0).toUpperCase() + key.slice(1)).replace(/^Ip/, "IP");
}

function* configure(cli: Cli, wanted: object): Transaction<Change> {
  const stored = yield* read({ kind: "IPAMConfig", name: "default" });
  const { strictAffinity, autoAllocateBlocks } = yield* readIpamConfig();
  return yield* writeResource(storeType(cli), "apply", {
    apiVersion: "projectcalico.org/v3",
    ...stored,
    kind: "IPAMConfig",
    metadata: stored?.metadata ?? { name: "default" },
    spec: { strictAffinity, autoAllocateBlocks, ...(stored?.spec as object | undefined), ...wanted },
  });
}
