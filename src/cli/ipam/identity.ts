/**
 * Identifies the store that a report is about. Of a node's files also the boot: allocations do not survive a reboot, so a report from before it
 * must not be applied.
 */
import { bootId } from "../../host/boot-id.ts";
import type { Sys } from "../../host/sys.ts";
import { runDir } from "../../identity/names.ts";
import { read } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { readStore } from "../store.ts";

/** Of a cluster its GUID. */
export async function storeIdentity(cli: Cli): Promise<string> {
  if (cli.cluster === undefined) return identityOfFiles(cli.sys);
  const found = await readStore(cli, read({ kind: "ClusterInformation", name: "default" }));
  const { clusterGUID = "none" } = (found?.spec ?? {}) as { readonly clusterGUID?: string };
  return `${cli.cluster.type}/${clusterGUID}`;
}

/** `<boot ID>/<device>:<inode>` of the directory. */
function identityOfFiles(sys: Sys): string {
  const directory = sys.stat(runDir);
  return `${bootId(sys) ?? "unknown"}/${directory === undefined ? "none" : `${directory.device}:${directory.inode}`}`;
}
