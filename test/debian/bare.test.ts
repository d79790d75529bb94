/** What the README promises on a bare Debian: a clean clone sets itself up, builds, and shows itself. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../lib/suite.ts";

/** Debian 12 and 13: their own Node, compiler, libc and tools. */
test.each(["bookworm", "trixie"])(
  "a clean clone on a bare %s has all it needs after set-up, and its demo comes out",
  async (suite) => {
    const script =
      "scripts/setup && npm run demo && ls /etc/cni/net.d /lib/systemd/system/podman.socket 2>&1 | grep -v 'cannot access' | sed 's/^/machine: /'";
    const { status, text } = await run([join(root, "scripts/debian"), suite, "bash", "-c", script]);
    expect(text.match(/^( {2}no |failed:|machine:).*/gm) ?? []).toEqual([]);
    expect(text).not.toContain("without a profile");
    expect(text).toContain("everything came out as it should");
    expect(status).toBe(0);
  },
);

function run([program = "", ...argv]: readonly string[]): Promise<{
  readonly status: number | null;
  readonly text: string;
}> {
  const child = spawn(program, argv, { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  }
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, text }));
  });
}
