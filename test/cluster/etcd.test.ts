import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clusterDatastore } from "../../src/store/cluster/datastore.ts";
import { openClusterDatastore } from "../../src/store/cluster/open.ts";
import { readSettings } from "../../src/store/cluster/settings.ts";
import { etcdBackend } from "../../src/store/etcd/backend.ts";
import { driveAsync, list } from "../../src/store/transaction.ts";
import { makeCertificates } from "../lib/cluster/certificates.ts";
import { describeContract, type Site } from "../lib/cluster/contract.ts";
import { Etcd, etcdIsMissing } from "../lib/cluster/etcd.ts";
import { Relay } from "../lib/cluster/relay.ts";
import { storm } from "../lib/cluster/storm.ts";
import { howMany } from "../lib/how-many.ts";

/** Small, so that a listing has several. */
const pageSize = 7;

describe.skipIf(etcdIsMissing !== undefined)(`etcd${etcdIsMissing ? `: ${etcdIsMissing}` : ""}`, () => {
  let etcd: Etcd;
  let relay: Relay;
  let site: Site;

  beforeAll(async () => {
    etcd = await Etcd.start();
    relay = await Relay.start(Number(new URL(etcd.endpoint).port));
    site = {
      relay,
      async open(through, options = {}) {
        const endpoint = through === "relay" ? `http://127.0.0.1:${relay.port}` : etcd.endpoint;
        return clusterDatastore(etcdBackend({ endpoints: [endpoint] }, options.timeoutMs ?? 5000, pageSize), options);
      },
      clear: () => etcd.clear(),
      compact: () => etcd.compact(),
      forgetsChanges: true,
      writesTogether: true,
      freeze: () => etcd.signal("SIGSTOP"),
      thaw: () => etcd.signal("SIGCONT"),
    };
  });
  afterAll(async () => {
    relay?.stop();
    await etcd?.stop();
  });

  describeContract("etcd", () => site);

  test("nodes and etcd are killed while pods come and go, and no address is lost or given twice", async () => {
    await etcd.clear();
    const datastore = clusterDatastore(etcdBackend({ endpoints: [etcd.endpoint] }, 2000), { deadlineMs: 20_000 });
    const restart = async () => {
      await etcd.kill();
      await etcd.begin();
    };
    const environment = { ETCD_ENDPOINTS: etcd.endpoint };
    const pods = await storm({ environment, datastore, restart }, { nodes: 3, kills: howMany(60) });
    expect(pods).toBeGreaterThan(20);
    datastore.close();
  });

  test("one endpoint that is down is passed over", async () => {
    const datastore = clusterDatastore(etcdBackend({ endpoints: ["http://127.0.0.1:1", etcd.endpoint] }, 2000));
    expect(await driveAsync(list("IPPool"), datastore.store)).toEqual([]);
    datastore.close();
  });

  test("a name and a password open a store that wants them, and a token that is forgotten is asked for again", async () => {
    const secured = await Etcd.start();
    const opened = [];
    try {
      await secured.post("auth/user/add", { name: "root", password: "secret" });
      await secured.post("auth/user/grant", { user: "root", role: "root" });
      await secured.post("auth/enable", {});
      const open = (environment: object) =>
        openClusterDatastore(readSettings({ ETCD_ENDPOINTS: secured.endpoint, ...environment }));
      const datastore = await open({ ETCD_USERNAME: "root", ETCD_PASSWORD: "secret" });
      const stranger = await open({});
      const mistaken = await open({ ETCD_USERNAME: "root", ETCD_PASSWORD: "wrong" });
      opened.push(datastore, stranger, mistaken);
      expect(await driveAsync(list("IPPool"), datastore.store)).toEqual([]);
      await expect(driveAsync(list("IPPool"), stranger.store)).rejects.toThrow("user name is empty");
      await expect(driveAsync(list("IPPool"), mistaken.store)).rejects.toThrow("authentication failed");
      // The server keeps tokens in memory only.
      await secured.kill();
      await secured.begin();
      expect(await driveAsync(list("IPPool"), datastore.store)).toEqual([]);
    } finally {
      for (const datastore of opened) datastore.close();
      await secured.stop();
    }
  });

  test("both ends of TLS know each other by certificates, also when these are replaced", async () => {
    const directory = mkdtempSync(join(tmpdir(), "tortie-tls-"));
    const { ca, cert, key } = makeCertificates(directory);
    const secured = await Etcd.startSecured({ ca, cert, key });
    const open = (environment: object) =>
      openClusterDatastore(readSettings({ ETCD_ENDPOINTS: secured.endpoint, ETCD_CA_CERT_FILE: ca, ...environment }));
    const datastore = await open({ ETCD_CERT_FILE: cert, ETCD_KEY_FILE: key });
    const stranger = await open({});
    try {
      expect(await driveAsync(list("IPPool"), datastore.store)).toEqual([]);
      await expect(driveAsync(list("IPPool"), stranger.store)).rejects.toMatchObject({ name: "Unanswered" });
      // All certificates are replaced in place.
      makeCertificates(directory);
      await secured.kill();
      await secured.begin();
      await expect
        .poll(() => driveAsync(list("IPPool"), datastore.store).catch(() => undefined), { timeout: 15_000 })
        .toEqual([]);
    } finally {
      datastore.close();
      stranger.close();
      await secured.stop();
      rmSync(directory, { recursive: true });
    }
  });
});
