import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { refuseUnsupported } from "../../../src/plugin/unsupported.ts";

test.each([
  [
    { datastore_type: "etcd" },
    'cannot use key "datastore_type" with value "etcd": there is no such datastore; set it to "file", "kubernetes" or "etcdv3"',
  ],
  [{ etcd_endpoints: "http://10.0.0.1:2379" }, 'cannot use key "etcd_endpoints" with value "http://10.0.0.1:2379"'],
  [{ ETCD_Key_File: "/k" }, 'cannot use key "etcd_key_file" with value "/k"'],
  [{ kubernetes: { kubeconfig: "/etc/cni/net.d/calico-kubeconfig" } }, 'cannot use key "kubernetes.kubeconfig"'],
  [
    { policy: { type: "k8s" } },
    'cannot use key "policy.type" with value "k8s": this version enforces no network policy; remove the key',
  ],
  [{ readiness_gates: ["http://localhost"] }, 'cannot use key "readiness_gates" with value ["http://localhost"]'],
  [
    { feature_control: { ip_addrs_no_ipam: true } },
    'cannot use key "feature_control.ip_addrs_no_ipam" with value true',
  ],
  [{ feature_control: { floating_ips: true } }, 'cannot use key "feature_control.floating_ips" with value true'],
  [{ dataplane_options: { type: "grpc" } }, 'cannot use key "dataplane_options.type" with value "grpc"'],
  [{ device_type: "netkit" }, 'cannot use key "device_type" with value "netkit"'],
  [{ policy_setup_timeout_seconds: 5 }, 'cannot use key "policy_setup_timeout_seconds" with value 5'],
  [{ mode: "vxlan" }, 'cannot use key "mode" with value "vxlan"'],
])("refuseUnsupported() names the key and the remedy: %j", (document, message) => {
  expect(() => refuseUnsupported(document)).toThrow(
    expect.objectContaining({ code: 2, message: expect.stringContaining(message) }),
  );
});

test.each([
  {},
  { datastore_type: "file", etcd_endpoints: "", etcd_scheme: "http", mode: "" },
  { policy: { type: "" }, kubernetes: {}, readiness_gates: [], policy_setup_timeout_seconds: 0 },
  { feature_control: { ip_addrs_no_ipam: false, floating_ips: null }, dataplane_options: { type: "linux" } },
  { device_type: "veth", kubernetes: "text", policy: null },
  { datastore_type: "kubernetes", feature_control: { ip_addrs_no_ipam: true, floating_ips: true } },
  { something: { of: "another plugin" } },
])("refuseUnsupported() lets pass what asks for nothing: %j", (document) => {
  expect(() => refuseUnsupported(document)).not.toThrow();
});

test("refuseUnsupported() lets a Calico cluster's conflist pass, whose datastore the node agent talks to", () => {
  const { plugins } = JSON.parse(readFileSync("test/fixtures/10-calico.conflist", "utf8"));
  expect(() => refuseUnsupported(plugins[0])).not.toThrow();
  expect(() => refuseUnsupported({ datastore_type: "etcdv3", etcd_endpoints: "http://10.0.0.1:2379" })).not.toThrow();
  const waiting = { readiness_gates: ["http://localhost"], policy_setup_timeout_seconds: 5 };
  expect(() => refuseUnsupported({ ...plugins[0], ...waiting })).not.toThrow();
  expect(() => refuseUnsupported({ ...plugins[0], device_type: "netkit" })).toThrow("device_type");
});

test("refuseUnsupported() names all keys of a cluster's conflist that names no datastore of a cluster, at once", () => {
  const { plugins } = JSON.parse(readFileSync("test/fixtures/10-calico.conflist", "utf8"));
  expect(() => refuseUnsupported({ ...plugins[0], datastore_type: undefined })).toThrow(
    expect.objectContaining({
      code: 2,
      message:
        'cannot use this conflist: it has the keys of a Calico cluster, but "datastore_type" names none; set it to "kubernetes" or "etcdv3", or ' +
        'remove these keys: "kubernetes.kubeconfig" is "/etc/cni/net.d/calico-kubeconfig" (remove the key), "kubernetes.k8s_api_root" is ' +
        '"https://10.96.0.1:443" (remove the key), "policy.type" is "k8s" (remove the key); see docs/operations.md',
    }),
  );
});

test("refuseUnsupported() names several keys that are no cluster's as well", () => {
  expect(() => refuseUnsupported({ mode: "vxlan", Device_Type: "netkit" })).toThrow(
    'cannot use key "mode" with value "vxlan": this version supports no overlay networks; remove the key; and key "device_type" with value "netkit": ' +
      "this version supports only veth pairs; remove the key",
  );
});

test("describeUnsupported() never says that pod annotations are not read", () => {
  for (const key of ["ip_addrs_no_ipam", "floating_ips"]) {
    expect(() => refuseUnsupported({ feature_control: { [key]: true } })).toThrow(/^(?!.*annotation)/);
  }
});

test("describeUnsupported() does not print a token", () => {
  const policy = { type: "k8s", k8s_auth_token: "eyJhbGciOi" };
  expect(() => refuseUnsupported({ policy })).toThrow(/^(?!.*eyJhbGciOi).*"policy.k8s_auth_token" is a secret/);
});
