import { expect, test } from "vitest";
import { nodename, nodenameConf } from "../../../src/plugin/nodename.ts";
import { FakeSys } from "../../lib/fake/sys.ts";

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
    `cannot determine the node's name: nodename_file "${nodename_file}" is ${state}; ` +
      'write the name into it, set "nodename", or set "nodename_file_optional" to true',
  );
});

const wrong = ["a b", "a\nb", "Node-1", "node_1", "-a", "a-", "a..b", ".", "a/b", "\udfff", "ü", "a".repeat(254)];
const why = 'but a node\'s name contains only lower-case letters, digits, "-" and "."';
const inConf = 'set "nodename" to such a name';
const inFile = 'write such a name into it, or set "nodename"';

test.each(wrong)("nodename() refuses %j, wherever it comes from", (name) => {
  const text = JSON.stringify(name);
  const refuse = (conf: object, sys: FakeSys, source: string, remedy = inConf) =>
    expect(() => nodename(nodenameConf(conf), sys)).toThrow(
      `cannot determine the node's name: ${source} is ${text}, ${why}; ${remedy}`,
    );
  refuse({ nodename: name }, sysWith(undefined), '"nodename"');
  refuse({ hostname: name }, sysWith(undefined), '"hostname"');
  // A file holds UTF-8.
  if (name !== "\udfff") refuse({}, sysWith(name), 'nodename_file "/var/lib/calico/nodename"', inFile);
});

test("nodename() takes a name of 253 characters, and its own host's in any case", () => {
  const longest = "a".repeat(253);
  expect(nodename(nodenameConf({ nodename: longest }), sysWith(undefined))).toBe(longest);
  expect(() => nodename(nodenameConf({}), new FakeSys({ hostname: "my_host" }))).toThrow('the host name is "my_host"');
});

test.each([
  ["a named one", { nodename_file: "/etc/names" }],
  ["one that may be missing", { nodename_file: "/etc/names", nodename_file_optional: true }],
])("nodename() refuses a directory in the place of the file: %s", (_, conf) => {
  const sys = sysWith(undefined);
  sys.makeDirs("/etc/names", 0o755);
  expect(() => nodename(nodenameConf(conf), sys)).toThrow(
    'cannot determine the node\'s name: nodename_file "/etc/names" is a directory; remove it and write the name into a file, or set "nodename"',
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
