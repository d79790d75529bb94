/** STATUS and `-t`: whether an ADD could work now. */
import { code } from "../../src/cni/error.ts";
import { NodeFacts } from "../../src/dataplane/node-facts.ts";
import { runDir } from "../../src/identity/names.ts";
import { natTables } from "../../src/plan/nat-outgoing.ts";
import { notReady, notReadyForTables } from "../../src/plugin/not-ready.ts";
import type { Context } from "../../src/plugin/plugin.ts";

/** Throws `CniError` 50 with the reason. */
export function checkReadiness(context: Context): void {
  const { sys } = context;
  notReady(() => new NodeFacts(sys).probe({ kind: "links", of: ["veth"] }));
  notReadyForTables(context, natTables, ["nft_chain_nat", "nft_masq"]);
  notReady(() => {
    sys.makeDirs(runDir, 0o700);
    if (sys.stat(runDir)?.kind !== "directory") throw new Error(`cannot use "${runDir}": not a directory`);
  });
}

/** `calico -t`: the datastore's health, as Calico's scripts request it. Returns the exit code. */
export function testDatastore(context: Context): number {
  const { sys } = context;
  try {
    checkReadiness(context);
    return 0;
  } catch (error) {
    sys.write(
      "stdout",
      JSON.stringify({ code: code.refused, msg: "data store connection failed", details: (error as Error).message }),
    );
    return 1;
  }
}
