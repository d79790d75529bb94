import { expect, test } from "vitest";
import { nodename, nodenameConf } from "../../../src/plugin/nodename.ts";
import { FakeSys } from "../../lib/fake-sys.ts";

test.each([
  ["nodename before all", { nodename: "a", hostname: "c" }, "b\n", "a"],
  ["the file before hostname, without its newline", { hostname: "c" }, " b\r\n", "b"],
  ["the deprecated hostname before the host name", { hostname: "c" }, undefined, "c"],
  ["the host name in lower case", {}, undefined, "node-1.example.com"],
  ["empty strings count as absent", { nodename: "", hostname: "", nodename_file: "" }, "", "node-1.example.com"],
  [
    "a named file that may be missing",
    { nodename_file: "/x", nodename_file_optional: true },
    undefined,
    "node-1.example.com",
  ],
])("nodename() takes %s", (_, conf, file, wanted) => {
  expect(nodename(nodenameConf(conf), sysWith(file))).toBe(wanted);
});

test.each([
  ["missing", "/etc/nodename"],
  ["empty", "/var/lib/calico/nodename"],
])("nodename() refuses a named file that is %s", (state, nodename_file) => {
  expect(() => nodename(nodenameConf({ nodename_file }), sysWith(" \n"))).toThrow(
    `cannot tell the node's name: nodename_file "${nodename_file}" is ${state}; ` +
      'write the name into it, set "nodename", or set "nodename_file_optional" to true',
  );
});

function sysWith(file: string | undefined): FakeSys {
  const sys = new FakeSys({ hostname: "Node-1.Example.com" });
  if (file !== undefined) {
    sys.makeDirs("/var/lib/calico", 0o755);
    sys.createFile("/var/lib/calico/nodename", file, 0o644);
  }
  return sys;
}
