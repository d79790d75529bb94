import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nodeSys } from "../../../src/host/node/node.ts";
import { sysCases } from "../../lib/programs/sys-cases.ts";

test.each(sysCases)("on Node, $name", ({ run }) => {
  const directory = mkdtempSync(join(tmpdir(), "tortie-sys-"));
  try {
    run(nodeSys, directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.each([
  () => nodeSys.openNetns("/proc/self/ns/net"),
  () => nodeSys.openNetlink("route"),
  () => nodeSys.inNetns({ fd: 0, device: 0, inode: 0 }, () => 0),
  () => nodeSys.inNewNetns(() => 0),
])("on Node, namespaces and netlink are ENOSYS (%#)", (body) => {
  expect(body).toThrow(expect.objectContaining({ code: "ENOSYS" }));
});
