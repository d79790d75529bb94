/** Opens etcd as a datastore. */
import { resolveSrv } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import type { AsyncDatastore, AsyncDatastoreOptions } from "../async-datastore.ts";
import { clusterDatastore, defaultTimeoutMs } from "../cluster/datastore.ts";
import { type EtcdLocation, InvalidSetting } from "../cluster/settings.ts";
import { etcdBackend } from "./backend.ts";
import type { Tls } from "./channels.ts";
import type { EtcdSettings } from "./client.ts";

/** Connects with the first request. Rejects with `InvalidSetting` if a file cannot be read or a domain has no endpoint. */
export async function openEtcd(location: EtcdLocation, options: AsyncDatastoreOptions = {}): Promise<AsyncDatastore> {
  const backend = etcdBackend(await settingsOf(location), options.timeoutMs ?? defaultTimeoutMs);
  return clusterDatastore(backend, options);
}

async function settingsOf(location: EtcdLocation): Promise<EtcdSettings> {
  const { username, password = "", discoverySrv } = location;
  const readTls = () => tlsOf(location);
  await readTls();
  return {
    endpoints: discoverySrv === undefined ? location.endpoints : await discover(discoverySrv),
    readTls,
    ...(username !== undefined && { user: { name: username, password } }),
  };
}

async function tlsOf({ caFile, certFile, keyFile }: EtcdLocation): Promise<Tls> {
  const ca = await fileOf("ETCD_CA_CERT_FILE", caFile);
  const cert = await fileOf("ETCD_CERT_FILE", certFile);
  const key = await fileOf("ETCD_KEY_FILE", keyFile);
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

async function fileOf(setting: string, path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (error) {
    throw new InvalidSetting(setting, path, `a file that can be read (${(error as Error).message})`);
  }
}

/** As etcd's own client does: servers with TLS first. */
async function discover(domain: string): Promise<readonly string[]> {
  const services = [
    ["https", "_etcd-client-ssl._tcp"],
    ["http", "_etcd-client._tcp"],
  ] as const;
  for (const [scheme, service] of services) {
    const records = await resolveSrv(`${service}.${domain}`).catch(() => []);
    if (records.length > 0) return records.map(({ name, port }) => `${scheme}://${name}:${port}`);
  }
  throw new InvalidSetting("ETCD_DISCOVERY_SRV", domain, "a domain with records _etcd-client._tcp");
}
