/** `tortie plan`: its options, and its errors for what it cannot plan. test/netns/plan.test.ts tests the printed commands. */
import { describe, expect, test } from "vitest";
import { podOf } from "../../../src/cli/plan/pod.ts";

describe("podOf()", () => {
  test("reads ports as podman's --publish", () => {
    const { capabilities } = podOf({
      pod: "web",
      port: ["8080:80", "192.0.2.1:53:5353/udp", "[2001:db8::1]:443:8443/tcp"],
    });
    expect(capabilities).toEqual({
      portMappings: [
        { hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: "" },
        { hostPort: 53, containerPort: 5353, protocol: "udp", hostIP: "192.0.2.1" },
        { hostPort: 443, containerPort: 8443, protocol: "tcp", hostIP: "2001:db8::1" },
      ],
    });
  });

  test.each([
    ["10M", 10e6, 10e6],
    ["10M:5M", 10e6, 5e6],
    ["1.5G:500k", 1.5e9, 500e3],
    ["1000", 1000, 1000],
  ])("reads the rate %s", (rate, ingressRate, egressRate) => {
    expect(podOf({ pod: "web", rate }).capabilities.bandwidth).toMatchObject({ ingressRate, egressRate });
  });

  test.each([
    [{ pod: "a/b/c" }, 'cannot use --pod "a/b/c": must be NAME or NAMESPACE/NAME'],
    [{ pod: "/b" }, 'cannot use --pod "/b": must be NAME or NAMESPACE/NAME'],
    [{ pod: "a", address: ["10.0.0"] }, 'cannot use --address "10.0.0": not an IP address'],
    [{ pod: "a", port: ["80"] }, 'cannot use --port "80": wanted [HOST-ADDRESS:]HOST-PORT:CONTAINER-PORT[/PROTOCOL]'],
    [{ pod: "a", rate: "fast" }, 'cannot use --rate "fast": must be bits per second, such as "10M" or "10M:5M"'],
    [{ pod: "a", rate: "1M:0" }, 'cannot use --rate "1M:0": must be bits per second, such as "10M" or "10M:5M"'],
    [{ pod: "a", rate: "1:2:3" }, 'cannot use --rate "1:2:3": must be bits per second, such as "10M" or "10M:5M"'],
  ])("refuses %j", (options, message) => {
    expect(() => podOf(options)).toThrow(message);
  });
});
