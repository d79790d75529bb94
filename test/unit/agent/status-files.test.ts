import { beforeEach, describe, expect, test } from "vitest";
import { StatusFiles } from "../../../src/agent/endpoints/status-files.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";

const path = "/var/run/calico/endpoint-status/k8s default%2Fnginx eth0";
const record = {
  ...{ node: "node-a", pod: { namespace: "default", name: "nginx" }, profiles: [] },
  attachment: { network: "net", containerId: "c1", ifname: "eth0" },
  ...{ addresses: ["10.0.0.5/32", "fd00::5/128"], hostInterface: "cali1", mac: "02:00:00:00:00:01" },
};
const ofNextSandbox = { ...record, attachment: { ...record.attachment, containerId: "c2" } };

let machine: FakeMachine;
let files: StatusFiles;
let failures: string[];

beforeEach(() => {
  machine = new FakeMachine();
  failures = [];
  files = new StatusFiles("/var/run/calico", new FakeSys({ machine }), ({ message }) => failures.push(message));
});

describe("the status file of a pod", () => {
  test("has Felix's name and fields", () => {
    files.put(record);
    expect(JSON.parse(machine.files.read(path))).toEqual({
      ...{ ifaceName: "cali1", mac: "02:00:00:00:00:01", bgpPeerName: "", containerID: "c1" },
      ...{ ipv4Nets: ["10.0.0.5/32"], ipv6Nets: ["fd00::5/128"] },
    });
  });

  test("goes with its sandbox, and not with an earlier one", () => {
    files.put(record);
    files.put(ofNextSandbox);
    files.delete(record);
    expect(machine.files.stat(path)).toBeDefined();
    files.delete(ofNextSandbox);
    expect(machine.files.stat(path)).toBeUndefined();
    files.delete(ofNextSandbox);
  });

  test("of another program stays", () => {
    files.put(record);
    machine.files.replace(path, '{"ifaceName": "cali1"}', 0o644);
    files.delete(record);
    expect(machine.files.stat(path)).toBeDefined();
  });

  test("that cannot be written is reported, and fails nothing", () => {
    new FakeSys({ machine }).makeDirs(path, 0o755);
    files.put(record);
    expect(failures).toHaveLength(1);
  });

  test("does not exist for a container without a pod", () => {
    files.put({ ...record, pod: undefined });
    files.delete({ ...record, pod: undefined });
    expect(machine.files.paths().filter((one) => one.startsWith("/var/run/calico"))).toEqual([]);
  });
});
