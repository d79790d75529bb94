import { expect, test } from "vitest";
import { Spool } from "../../../src/agent/spool.ts";
import { CoreError, type ErrorKind } from "../../../src/errors/core-error.ts";
import { type ReleaseMessage, spoolDirectory } from "../../../src/node-protocol/messages.ts";
import { spool } from "../../../src/node-protocol/spool.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";

const attachment = { network: "net", containerId: "c1", ifname: "eth0" };
const message: ReleaseMessage = {
  ...{ version: 1, nodename: "n1", deadlineMs: 1000 },
  op: "release",
  attachment: { network: "net", containerID: "c1", ifname: "eth0" },
};
const file = `${spoolDirectory}/net:c1:eth0:release.json`;

class Failure extends CoreError {
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind) {
    super(`it is ${kind}`);
    this.kind = kind;
  }
}

function fresh(execute: (text: string) => Promise<void>) {
  const sys = new FakeSys({ machine: new FakeMachine() });
  const told: string[] = [];
  const own = new Spool({
    sys,
    execute,
    onDone: (path) => told.push(`done ${path}`),
    onFailure: (path, error, isFinal) => told.push(`${isFinal ? "refused" : "waits"} ${path}: ${error.message}`),
  });
  spool(sys, attachment, message);
  return { sys, told, own };
}

test("Spool executes a message that a plugin left, and removes its file", async () => {
  const executed: unknown[] = [];
  const { own, told, sys } = fresh(async (text) => void executed.push(JSON.parse(text)));
  expect(own.pending()).toBe(1);
  await own.sweep();
  expect(executed).toEqual([message]);
  expect(told).toEqual([`done ${file}`]);
  expect(sys.stat(file)).toBeUndefined();
});

test("Spool keeps a file while the datastore is away, and tries no other", async () => {
  const { own, told, sys } = fresh(() => Promise.reject(new Failure("timeout")));
  spool(sys, { ...attachment, containerId: "c2" }, message);
  await own.sweep();
  expect(told).toEqual([`waits ${file}: it is timeout`]);
  expect(own.pending()).toBe(2);
});

test.each([
  ["a bug", new Error("x is not a function")],
  ["a failure that is its own", new Failure("datastore")],
])("Spool keeps a file that meets %s, and executes the others", async (_, failure) => {
  const { own, told, sys } = fresh((text) => (text.includes('"c1"') ? Promise.reject(failure) : Promise.resolve()));
  const other = { ...attachment, containerId: "c2" };
  spool(sys, other, { ...message, attachment: { ...message.attachment, containerID: "c2" } });
  await own.sweep();
  expect(told).toEqual([`waits ${file}: ${failure.message}`, `done ${file.replace("c1", "c2")}`]);
  expect(own.pending()).toBe(1);
});

test("Spool sets aside a message that can never succeed, and continues", async () => {
  const { own, told, sys } = fresh(() => Promise.reject(new Failure("invalid")));
  await own.sweep();
  expect(told).toEqual([`refused ${file}: it is invalid`]);
  expect(own.pending()).toBe(0);
  expect(sys.stat(`${file}.refused`)?.kind).toBe("file");
});

test("Spool.settle() executes the waiting messages of one attachment, and rejects if one fails", async () => {
  let isAway = true;
  const { own, sys } = fresh(() => (isAway ? Promise.reject(new Failure("timeout")) : Promise.resolve()));
  await own.settle({ ...attachment, containerId: "other" });
  await expect(own.settle(attachment)).rejects.toThrow("it is timeout");
  expect(sys.stat(file)?.kind).toBe("file");
  isAway = false;
  await own.settle(attachment);
  expect(sys.stat(file)).toBeUndefined();
});

test("Spool never executes a file twice concurrently", async () => {
  let executions = 0;
  const { own } = fresh(async () => {
    executions++;
    await new Promise((resolve) => setTimeout(resolve, 5));
  });
  await Promise.all([own.sweep(), own.settle(attachment), own.sweep()]);
  expect(executions).toBe(1);
});
