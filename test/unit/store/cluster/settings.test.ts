import { describe, expect, test } from "vitest";
import { openClusterDatastore } from "../../../../src/store/cluster/open.ts";
import { environmentOf, InvalidSetting, readSettings } from "../../../../src/store/cluster/settings.ts";

describe("settings of a cluster's datastore", () => {
  test("are those of etcd where there are endpoints, else of Kubernetes", () => {
    expect(readSettings({ ETCD_ENDPOINTS: "https://a:2379, https://b:2379" })).toMatchObject({
      type: "etcdv3",
      endpoints: ["https://a:2379", "https://b:2379"],
    });
    expect(readSettings({ ETCD_ENDPOINTS: "http://a:2379", DATASTORE_TYPE: "kubernetes" }).type).toBe("kubernetes");
    expect(readSettings({}).type).toBe("kubernetes");
  });

  test("may stand behind CALICO_, and the plain name wins", () => {
    expect(readSettings({ CALICO_DATASTORE_TYPE: "kubernetes", CALICO_KUBECONFIG: "/a" })).toMatchObject({
      kubeconfig: "/a",
    });
    expect(readSettings({ KUBECONFIG: "/b", CALICO_KUBECONFIG: "/a" })).toMatchObject({ kubeconfig: "/b" });
  });

  test("the old authority of etcd is an endpoint", () => {
    expect(readSettings({ ETCD_AUTHORITY: "10.0.0.1:2379", ETCD_SCHEME: "https" })).toMatchObject({
      endpoints: ["https://10.0.0.1:2379"],
    });
  });

  test("are read from a NetConf", () => {
    const conf = { datastore_type: "kubernetes", kubernetes: { kubeconfig: "/k" }, policy: { k8s_auth_token: "t" } };
    expect(readSettings(environmentOf(conf))).toMatchObject({
      type: "kubernetes",
      kubeconfig: "/k",
      token: "t",
      apiGroup: "crd.projectcalico.org/v1",
    });
    expect(readSettings(environmentOf({ etcd_endpoints: "http://a:2379" }))).toMatchObject({ type: "etcdv3" });
  });

  test.each([
    [{ DATASTORE_TYPE: "consul" }, "DATASTORE_TYPE"],
    [{ DATASTORE_TYPE: "etcdv3" }, "ETCD_ENDPOINTS"],
    [{ ETCD_ENDPOINTS: "10.0.0.1:2379" }, "ETCD_ENDPOINTS"],
    [{ CALICO_API_GROUP: "projectcalico.org/v4" }, "CALICO_API_GROUP"],
  ])("%o is refused by name", (environment, setting) => {
    expect(() => readSettings(environment)).toThrow(expect.objectContaining({ name: "InvalidSetting", setting }));
  });

  test("a file that cannot be read is named with its setting", async () => {
    const settings = readSettings({ ETCD_ENDPOINTS: "https://a:2379", ETCD_CA_CERT_FILE: "/none/ca" });
    await expect(openClusterDatastore(settings)).rejects.toThrow(InvalidSetting);
    await expect(openClusterDatastore(settings)).rejects.toThrow(
      'cannot use ETCD_CA_CERT_FILE="/none/ca": want a file that can be read (ENOENT: no such file or directory, open',
    );
  });
});
