import { describe, expect, test } from "vitest";
import { parseArgs, parsePath } from "../../../src/cni/args.ts";

describe("parseArgs()", () => {
  test.each([
    ["", {}],
    [
      "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0",
      { IgnoreUnknown: "1", K8S_POD_NAMESPACE: "default", K8S_POD_NAME: "web-0" },
    ],
    ["FOO", {}],
    ["=x;A=", { A: "" }],
    ["A=B=C", { A: "B=C" }],
    ["A=1;A=2", { A: "2" }],
    ["ip=1;IP=2", { ip: "1", IP: "2" }],
  ])("reads %j", (text, expected) => expect(parseArgs(text)).toEqual(expected));
});

test("parsePath() drops empty directories", () => expect(parsePath("/a::/b:")).toEqual(["/a", "/b"]));
