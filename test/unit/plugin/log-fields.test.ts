import { describe, expect, test } from "vitest";
import { readEnvironment } from "../../../src/cni/environment.ts";
import { logFields } from "../../../src/plugin/log-fields.ts";

const trace = "0af7651916cd43dd8448eb211c80319c";
const span = "b7ad6b7169203331";

function fieldsOf(env: Readonly<Record<string, string>>): object {
  const attachment = { CNI_CONTAINERID: "c1", CNI_NETNS: "/run/netns/x", CNI_IFNAME: "eth0" };
  const environment = readEnvironment({ CNI_COMMAND: "ADD", ...attachment, ...env });
  // As in a line: unknown fields are absent.
  return JSON.parse(JSON.stringify(logFields("calico", environment, "net1")));
}

const known = { plugin: "calico", command: "ADD", network: "net1", containerID: "c1", ifname: "eth0" };

describe("logFields()", () => {
  test("name the plugin, the command and the attachment", () => expect(fieldsOf({})).toEqual(known));

  test("name the pod, in whatever order the runtime does", () => {
    const CNI_ARGS = "K8S_POD_NAME=web-0;IgnoreUnknown=1;FOO;K8S_POD_NAMESPACE=default";
    expect(fieldsOf({ CNI_ARGS })).toEqual({ ...known, namespace: "default", pod: "web-0" });
  });

  test("of STATUS name no attachment", () => {
    const environment = readEnvironment({ CNI_COMMAND: "STATUS", CNI_CONTAINERID: "", CNI_IFNAME: "", CNI_ARGS: "" });
    expect(JSON.parse(JSON.stringify(logFields("calico", environment, "net1")))).toEqual({
      plugin: "calico",
      command: "STATUS",
      network: "net1",
    });
  });

  test.each([`00-${trace}-${span}-01`, `cc-${trace}-${span}-01`, `cc-${trace}-${span}-01-what-the-future-brings`])(
    "name the trace of %s",
    (TRACEPARENT) =>
      expect(fieldsOf({ TRACEPARENT })).toEqual({ ...known, trace_id: trace, span_id: span, trace_flags: "01" }),
  );

  test.each([
    ["", "nothing"],
    ["00-1", "something else"],
    [`ff-${trace}-${span}-01`, "version ff"],
    [`00-${"0".repeat(32)}-${span}-01`, "trace 0"],
    [`00-${trace}-${"0".repeat(16)}-01`, "span 0"],
    [`00-${trace.toUpperCase()}-${span}-01`, "upper case"],
    [`00-${trace}-${span}-01-more`, "more than version 00 has"],
    [`00-${trace}-${span}-1`, "short flags"],
    [`00-${trace}-${span}-01x`, "long flags"],
  ])("name no trace of %j: %s", (TRACEPARENT) => expect(fieldsOf({ TRACEPARENT })).toEqual(known));
});
