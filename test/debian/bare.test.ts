/** README's promise on a bare Debian: a clean clone installs its dependencies, builds, and runs the demo. */
import { join } from "node:path";
import { execa } from "execa";
import { expect, test } from "vitest";
import { root } from "../lib/suite.ts";

/** Debian 12 and 13 with their own Node, compiler, libc and tools. */
test.each(["bookworm", "trixie"])(
  "a clean clone on a bare %s has all it needs after set-up, and its demo comes out",
  async (suite) => {
    const script =
      "scripts/setup && npm run demo && ls /etc/cni/net.d /lib/systemd/system/podman.socket 2>&1 | grep -v 'cannot access' | sed 's/^/machine: /'";
    const { exitCode, all } = await execa(join(root, "scripts/debian"), [suite, "bash", "-c", script], {
      all: true,
      reject: false,
      stdin: "ignore",
    });
    expect(all.match(/^( {2}no |failed:|machine:).*/gm) ?? []).toEqual([]);
    expect(all).not.toContain("without a profile");
    expect(all).toContain("every step succeeded");
    expect(exitCode).toBe(0);
  },
);
