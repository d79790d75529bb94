/**
 * `tortie` on etcd beside calicoctl: the same keys, and what calicoctl printed of them (`test/fixtures/calico-newest/calicoctl`), byte for byte. One
 * value differs: calicoctl prints an address in its memory as that of KubeVirtVMAddressPersistence.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tortie } from "../lib/cluster/command.ts";
import { Etcd, etcdIsMissing } from "../lib/cluster/etcd.ts";
import { root } from "../lib/suite.ts";

const recordings = join(root, "test/fixtures/calico-newest");
const recorded = (name: string) => readFileSync(join(recordings, name), "utf8");

describe.skipIf(etcdIsMissing !== undefined)(
  `tables that calicoctl printed${etcdIsMissing ? `: ${etcdIsMissing}` : ""}`,
  () => {
    let etcd: Etcd;

    beforeAll(async () => {
      etcd = await Etcd.start();
      const keys = JSON.parse(recorded("etcd/05-add-d-ip.keys.json")) as Readonly<Record<string, string>>;
      for (const [key, value] of Object.entries(keys)) await etcd.put(key, value);
    });
    afterAll(() => etcd?.stop());

    test.each([
      ["get ippool -o wide", "get-ippool-wide.txt"],
      ["get nodes -o wide", "get-nodes-wide.txt"],
      ["get wep -o wide", "get-wep-wide.txt"],
      ["ipam show --show-blocks", "ipam-show.txt"],
      ["ipam show --ip 192.168.230.1", "ipam-show-ip.txt"],
    ])("%s", async (line, file) => {
      expect(await tortie({ ETCD_ENDPOINTS: etcd.endpoint }, line)).toEqual({
        status: 0,
        stderr: "",
        stdout: recorded(`calicoctl/${file}`),
      });
    });

    test("ipam show --show-configuration, but for one value", async () => {
      const cells = (text: string) =>
        text
          .split("\n")
          .map((line) => line.split("|").map((cell) => cell.replace(/^\+-.*$/, "rule").trim()))
          .filter(([, property]) => property !== "KubeVirtVMAddressPersistence");
      const { stdout } = await tortie({ ETCD_ENDPOINTS: etcd.endpoint }, "ipam show --show-configuration");
      expect(cells(stdout)).toEqual(cells(recorded("calicoctl/ipam-show-configuration.txt")));
      expect(stdout).toContain("| KubeVirtVMAddressPersistence | Disabled |\n");
    });
  },
);
