/** Messages of commands that cannot continue, or have to wait. */
import { expect, test } from "vitest";
import { reportingLock } from "../../../src/cli/reporting-lock.ts";
import { trustStateDirectories } from "../../../src/store/file/trust.ts";
import { sysError } from "../../lib/fake/errno.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";
import { World } from "./world.ts";

test.each([
  [false, "tortie: open /run/tortie/ipam.lock: Permission denied; run it as root\n"],
  [true, "tortie: open /run/tortie/ipam.lock: Permission denied\n"],
])("what may not be looked at by others (root: %s)", async (isRoot, stderr) => {
  const world = new World();
  world.isRoot = isRoot;
  world.beforeStep = () => {
    throw Object.assign(new Error("open /run/tortie/ipam.lock: Permission denied"), { code: "EACCES" });
  };
  world.write("/usr/lib/tortie/bin/calico", "");
  world.machine.files.replace("/usr/lib/tortie/bin/calico", "ours", 0o755);
  world.anyProgram = (line) => {
    if (line.startsWith("VERSION ")) return '{"supportedVersions":["1.0.0"]}';
    return "calico 0.1.0 (Tortie), commit 0123456789ab, engine x\n";
  };
  const outcome = await world.run("install");
  expect(outcome.status).toBe(1);
  expect(outcome.stderr).toContain(stderr.slice("tortie: ".length));
});

test.each(["--run-dir", "--state-dir"])("%s of a directory that is not there", async (option) => {
  expect(await new World().run(`ipam show ${option} /nope`)).toEqual({
    status: 2,
    stdout: "",
    stderr: `tortie: cannot run ipam show: ${option} is "/nope", which does not exist\n`,
  });
});

test("tortie ipam show --map says that there are no pools", async () => {
  const { status, stdout } = await new World().run("ipam show --map");
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/^there is no pool yet: /) });
});

test("reportingLock() reports a held lock and its holder after two seconds, and waits", () => {
  const machine = new FakeMachine();
  const [holder, other] = [new FakeSys({ machine }), new FakeSys({ machine })];
  machine.files.makeDirs("/run/tortie", 0o700);
  holder.lock("/run/tortie/ipam.lock", "exclusive", 0);
  const notes: string[] = [];
  const before = machine.nowMs;
  expect(() =>
    reportingLock(other, (line) => void notes.push(line))("/run/tortie/ipam.lock", "exclusive", 40_000),
  ).toThrow(expect.objectContaining({ code: "ETIMEDOUT" }));
  expect(notes).toEqual(['tortie: waiting for "/run/tortie/ipam.lock", which another process holds; for 38 s more']);
  expect(machine.nowMs - before).toBe(40_000);
});

test("reportingLock() reports nothing for a free lock", () => {
  const sys = new FakeSys();
  sys.machine.files.makeDirs("/run/tortie", 0o700);
  const lock = reportingLock(sys, () => expect.unreachable());
  sys.unlock(lock("/run/tortie/ipam.lock", "exclusive", 40_000));
});

test.each([
  ["Uid:\t1000\t1000\t1000\t1000\n", "this process does not run as root; run it as root"],
  ["Uid:\t1000\t0\t0\t0\n", "it is owned by another user or writable by others, must belong to root only"],
])("a directory that is not this process's own: %j", (status, reason) => {
  const sys = new FakeSys();
  sys.machine.files.makeDirs("/proc/self", 0o755);
  sys.machine.files.replace("/proc/self/status", `Name:\tx\n${status}`, 0o444);
  sys.trustDirectory = () => {
    throw sysError("EPERM", "trust", "/run/tortie");
  };
  expect(() => trustStateDirectories(sys)).toThrow(`cannot trust "/run/tortie": ${reason}`);
});
