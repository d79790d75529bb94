/** STATUS and `-t`: whether an ADD could work now. */
import { CniError, code } from "../../src/cni/error.ts";
import type { Sys } from "../../src/host/sys.ts";
import { runDir } from "../../src/plan/names.ts";
import type { Context } from "../../src/plugin/plugin.ts";

/** Throws `CniError` 50 with the reason. */
export function checkReadiness(sys: Sys): void {
  probe("write to its state folder", () => {
    sys.makeDirs(runDir, 0o700);
    sys.unlock(sys.lock(`${runDir}/status.lock`, "shared", 1000));
  });
}

/** `calico -t`: the datastore's health, as Calico's scripts ask for it. Returns the exit status. */
export function testDatastore({ sys }: Context): number {
  try {
    checkReadiness(sys);
    return 0;
  } catch (error) {
    sys.write(
      "stdout",
      JSON.stringify({ code: code.refused, msg: "data store connection failed", details: (error as Error).message }),
    );
    return 1;
  }
}

function probe(what: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw new CniError(code.pluginNotAvailable, `cannot ${what}: ${(error as Error).message}`);
  }
}
