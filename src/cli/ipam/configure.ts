/** `tortie ipam configure`: the settings of IPAM, Calico's `IPAMConfig` "default". */
import { readIpamConfig } from "../../ipam/model/settings.ts";
import { drive, read, type Transaction } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { dryRunStore } from "../resources/dry-run-store.ts";
import { type Change, writeResource } from "../resources/write.ts";
import { datastoreOf } from "../store.ts";

export interface ConfigureOptions {
  readonly strictaffinity?: boolean | undefined;
  readonly maxBlocksPerHost?: number | undefined;
  readonly ipCooldownSeconds?: number | undefined;
  readonly dryRun?: boolean | undefined;
}

export function configureIpam(cli: Cli, { dryRun = false, ...options }: ConfigureOptions): ExitStatus {
  const { strictaffinity: strictAffinity, maxBlocksPerHost, ipCooldownSeconds } = options;
  const all = { strictAffinity, maxBlocksPerHost, ipCooldownSeconds };
  const wanted = Object.entries(all).filter(([, value]) => value !== undefined);
  if (wanted.length === 0) {
    throw new CliError(
      "cannot configure: wanted --strictaffinity, --max-blocks-per-host or --ip-cooldown-seconds",
      exitStatus.usage,
    );
  }
  const change = configure(Object.fromEntries(wanted));
  if (dryRun) drive(change, dryRunStore(datastoreOf(cli).store));
  else datastoreOf(cli).exclusively((store) => drive(change, store));
  for (const [key, value] of wanted) {
    cli.out(`Successfully set ${propertyOf(key)} to: ${value}${dryRun ? " (dry run)" : ""}\n`);
  }
  return exitStatus.done;
}

/** `strictAffinity` is calicoctl's `StrictAffinity`. */
export function propertyOf(key: string): string {
  return (key.charAt(0).toUpperCase() + key.slice(1)).replace(/^Ip/, "IP");
}

function* configure(wanted: object): Transaction<Change> {
  const stored = yield* read({ kind: "IPAMConfig", name: "default" });
  const { strictAffinity, autoAllocateBlocks } = yield* readIpamConfig();
  return yield* writeResource("apply", {
    apiVersion: "projectcalico.org/v3",
    ...stored,
    kind: "IPAMConfig",
    metadata: stored?.metadata ?? { name: "default" },
    spec: { strictAffinity, autoAllocateBlocks, ...(stored?.spec as object | undefined), ...wanted },
  });
}
