/** `overlaySys`: reads return what was written, and the node is unchanged. */
import { expect, test } from "vitest";
import { overlaySys } from "../../../src/cli/node/overlay-sys.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";

test("overlaySys() reads what was written, lists it, and writes nothing to the node", () => {
  const node = new FakeSys({ machine: new FakeMachine() });
  node.makeDirs("/d", 0o700);
  node.createFile("/d/old", "old", 0o600);
  node.createFile("/d/gone", "gone", 0o600);
  const over = overlaySys(node);

  over.createFile("/d/new", "new", 0o600);
  over.replaceFile("/d/old", "newer", { mode: 0o600, durable: true });
  over.removeFile("/d/gone");
  over.rename("/d/new", "/d/moved");
  over.createFile("/e/f", "", 0o600);

  expect([...over.listDir("/d")].sort()).toEqual(["moved", "old"]);
  expect(over.readFile("/d/old")).toBe("newer");
  expect(over.stat("/d/gone")).toBeUndefined();
  expect(over.stat("/e")?.kind).toBe("directory");
  expect(() => over.createFile("/d/moved", "", 0o600)).toThrow("EEXIST");
  expect(() => over.readFile("/d/gone")).toThrow("ENOENT");

  expect([...node.listDir("/d")].sort()).toEqual(["gone", "old"]);
  expect(node.readFile("/d/old")).toBe("old");
  expect(node.stat("/e")).toBeUndefined();
});

test("overlaySys() refuses the kernel, programs and files under /proc/sys", () => {
  const over = overlaySys(new FakeSys({ machine: new FakeMachine() }));
  expect(() => over.openNetlink("route")).toThrow("EPERM");
  expect(() => over.run(["/bin/true"], { env: {}, stdin: "", timeoutMs: 1 })).toThrow("EPERM");
  expect(() => over.writeFile("/proc/sys/net/ipv4/ip_forward", "1")).toThrow("EPERM");
});
