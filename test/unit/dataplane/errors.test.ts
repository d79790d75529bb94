import { describe, expect, test } from "vitest";
import {
  CommandError,
  ConflictError,
  KernelError,
  MissingFeature,
  SystemCallError,
  systemCallError,
  TimeoutError,
} from "../../../src/dataplane/errors.ts";
import { CoreError } from "../../../src/errors/core-error.ts";
import { errnoOf } from "../../../src/netlink/errno.ts";
import { protocolError } from "../../../src/plugin/error-codes.ts";
import { sysError } from "../../lib/fake/errno.ts";

const attempt = ["add", "route 10.0.0.5/32 dev cali5"] as const;

describe("errors of the dataplane", () => {
  test("KernelError has what was tried, the errno and the kernel's own words", () => {
    const error = new KernelError(attempt, { errno: errnoOf("ENETDOWN"), text: "Device is not up." }, "set it up");
    expect(error).toMatchObject({
      kind: "refused",
      operation: "add",
      object: "route 10.0.0.5/32 dev cali5",
      errno: 100,
      extack: "Device is not up.",
      remedy: "set it up",
    });
    expect(error.message).toBe(
      "cannot add route 10.0.0.5/32 dev cali5: Network is down (ENETDOWN): Device is not up; set it up",
    );
    expect([error.is("ENOENT", "ENETDOWN"), error.is("ENOENT")]).toEqual([true, false]);
  });

  test.each<[CoreError, number, string]>([
    [
      new TimeoutError(["run", "iptables-save"], 40_000, "end"),
      11,
      "cannot run iptables-save: no end within 40 s, killed",
    ],
    [
      new TimeoutError(["talk to", "the kernel"], 10_000, "answer"),
      11,
      "cannot talk to the kernel: no answer within 10 s",
    ],
    [
      new ConflictError(attempt, "it is taken", "tortie:a/b/c"),
      100,
      "cannot add route 10.0.0.5/32 dev cali5: it is taken",
    ],
    [
      new MissingFeature(["make", "chain ip t c"], {
        feature: "nat chains",
        reason: "no nat",
        module: "nft_chain_nat",
      }),
      100,
      "cannot make chain ip t c: no nat; load module nft_chain_nat",
    ],
    [
      new CommandError(["iptables-restore", "--noflush"], { status: 2, stderr: "line 1\nline 2\n" }),
      100,
      "cannot run iptables-restore --noflush: line 1; line 2",
    ],
    [
      new CommandError(["iptables-save"], { status: 4, stderr: "" }),
      100,
      "cannot run iptables-save: it ended with exit code 4",
    ],
  ])("protocolError() gives %s its code and its words", (error, code, message) => {
    expect(protocolError(error)).toMatchObject({ code, message });
  });

  test("protocolError() tells in the details what could not be taken back", () => {
    const error = new ConflictError(attempt, "it is taken");
    error.rollback = new KernelError(["delete", 'link "x"'], { errno: 1, text: undefined });
    expect(protocolError(error)?.details).toBe('and then: cannot delete link "x": Operation not permitted (EPERM)');
  });

  test("systemCallError() names the errno of a failed call, and leaves a bug and an error of the core alone", () => {
    const failed = systemCallError(attempt, sysError("EMFILE", "socket", "netlink"));
    expect(failed).toBeInstanceOf(SystemCallError);
    expect(failed).toMatchObject({ errno: "EMFILE", operation: "add" });
    const bug = new TypeError("x is not a function");
    const other = new TimeoutError(attempt, 1, "answer");
    expect([systemCallError(attempt, bug), systemCallError(attempt, other)]).toEqual([bug, other]);
    expect(systemCallError(attempt, other)).toBeInstanceOf(CoreError);
  });
});
