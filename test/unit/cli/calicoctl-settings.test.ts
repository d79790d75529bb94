import { describe, expect, test } from "vitest";
import { calicoctlSettings, defaultConfigFile } from "../../../src/cli/calicoctl-settings.ts";

const none = () => undefined;

function chosen(environment: Readonly<Record<string, string>>) {
  return calicoctlSettings({ environment, file: defaultConfigFile, readFile: none });
}

function fromFile(spec: string, environment = {}) {
  const text = `apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\nspec:\n${spec}`;
  return calicoctlSettings({ environment, file: "/x.cfg", readFile: () => text });
}

describe("calicoctlSettings()", () => {
  test.each([
    ["nothing", {}],
    ["what has nothing to do with it", { ETCD_CA_CERT_FILE: "/ca", HOME: "/root" }],
    ["the type file", { DATASTORE_TYPE: "file", KUBECONFIG: "/k" }],
  ])("%s: the files of the node", (_, environment) => {
    expect(chosen(environment)).toBeUndefined();
  });

  test.each([
    [{ KUBECONFIG: "/k" }, { type: "kubernetes", kubeconfig: "/k" }],
    [{ DATASTORE_TYPE: "kubernetes" }, { type: "kubernetes", kubeconfig: undefined }],
    [{ ETCD_ENDPOINTS: "http://a:1,http://b:2" }, { type: "etcdv3", endpoints: ["http://a:1", "http://b:2"] }],
    [{ CALICO_ETCD_ENDPOINTS: "http://a:1" }, { type: "etcdv3" }],
    [{ DATASTORE_TYPE: "etcdv3", ETCD_ENDPOINTS: "http://a:1", KUBECONFIG: "/k" }, { type: "etcdv3" }],
  ])("%j", (environment, settings) => {
    expect(chosen(environment)).toMatchObject(settings);
  });

  test("a file goes before the environment, all of it", () => {
    const environment = { ETCD_ENDPOINTS: "http://elsewhere:1", DATASTORE_TYPE: "etcdv3" };
    expect(fromFile("  datastoreType: kubernetes\n  kubeconfig: /k\n", environment)).toMatchObject({
      type: "kubernetes",
      kubeconfig: "/k",
    });
    expect(fromFile("  etcdEndpoints: http://a:1\n  etcdCACertFile: /ca\n")).toMatchObject({
      type: "etcdv3",
      endpoints: ["http://a:1"],
      caFile: "/ca",
    });
    expect(fromFile("  datastoreType: kubernetes\n  k8sInsecureSkipTLSVerify: true\n")).toMatchObject({
      skipsTlsVerify: true,
    });
  });

  test.each([
    ["  etcdEndpoint: x\n", "unknown field spec.etcdEndpoint"],
    ["  datastoreType: consul\n", "DATASTORE_TYPE"],
    ["  a: b: c\n", 'cannot use "/x.cfg"'],
  ])("of %j it names what is wrong", (spec, message) => {
    expect(() => fromFile(spec)).toThrow(message);
  });

  test("a file that is not there: an error, unless it is the usual one", () => {
    expect(() => calicoctlSettings({ environment: {}, file: "/x.cfg", readFile: none })).toThrow(
      'cannot read "/x.cfg"',
    );
  });
});
