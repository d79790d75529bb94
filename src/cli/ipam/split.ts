/**
 * `tortie ipam split`: splits a pool into equal parts, as calicoctl does and with its names.
 *
 *     default-ipv4-ippool 192.168.0.0/16 ─► split-default-ipv4-ippool-0 192.168.0.0/17, split-default-ipv4-ippool-1 192.168.128.0/17
 *
 * Blocks and addresses stay as they are. **The old pool is disabled before the first part is created and removed after the last**: if the
 * process is killed in between, every address still has a pool, and the same command finishes the work.
 */
import { IPv4CidrRange, IPv4Prefix, IPv6CidrRange, IPv6Prefix } from "ip-num";
import type { Pool, PoolSpec } from "../../ipam/model/pool.ts";
import { decodePool } from "../../ipam/model/pool.ts";
import type { Family } from "../../net/address.ts";
import { canonicalPrefix, lengthOf, maskPrefix } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";
import { create, list, read, remove, type Transaction, update } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { withoutWrites } from "../resources/dry-run.ts";
import { readStore, writeStore } from "../store.ts";

export interface SplitOptions {
  readonly number: number;
  readonly cidr?: string | undefined;
  readonly name?: string | undefined;
  readonly dryRun?: boolean | undefined;
}

export async function splitPool(cli: Cli, options: SplitOptions): Promise<ExitStatus> {
  const { number, cidr, name, dryRun = false } = options;
  if ((cidr === undefined) === (name === undefined)) {
    throw new CliError("cannot split: wanted either --cidr or --name", exitStatus.usage);
  }
  if (!Number.isInteger(number) || number < 2 || (number & (number - 1)) !== 0) {
    throw new CliError(`cannot split into ${number}: wanted a power of 2`, exitStatus.usage);
  }
  const transaction = split(options);
  const parts = dryRun ? await readStore(cli, withoutWrites(transaction)) : await writeStore(cli, transaction);
  for (const part of parts) cli.out(`IPPool "${part.metadata.name}" ${part.spec.cidr}${dryRun ? " (dry run)" : ""}\n`);
  cli.out(`Successfully split pool ${name ?? cidr} into ${number}${dryRun ? " (dry run)" : ""}\n`);
  return exitStatus.done;
}

function* split({ number, cidr, name }: SplitOptions): Transaction<readonly StoredObject<PoolSpec>[]> {
  const found = yield* findPool(name, cidr);
  const parts = partsOf(found, number);
  // An annotation records whether the old pool was enabled, in case this process is killed.
  const wasDisabled = found.metadata.annotations?.[splitAnnotation] ?? `${found.spec.disabled === true}`;
  const disabled = yield* update(disable(found, wasDisabled));
  if (disabled === undefined) throw conflict(found);
  for (const part of parts) {
    const wanted = { ...part, spec: { ...part.spec, disabled: wasDisabled === "true" } };
    if ((yield* create(wanted)) !== undefined) continue;
    const other = (yield* read({ kind: "IPPool", name: part.metadata.name })) as StoredObject<PoolSpec> | undefined;
    if (other?.spec.cidr !== part.spec.cidr) {
      throw new CliError(`cannot split ${nameOf(found)}: IPPool "${part.metadata.name}" exists, ${other?.spec.cidr}`);
    }
  }
  yield { op: "forget room", pool: found.spec.cidr };
  if (!(yield* remove(disabled))) throw conflict(found);
  return parts;
}

const splitAnnotation = "tortie/disabled-before-split";

function disable(pool: StoredObject<PoolSpec>, wasDisabled: string): StoredObject<PoolSpec> {
  const annotations = { ...pool.metadata.annotations, [splitAnnotation]: wasDisabled };
  return { ...pool, metadata: { ...pool.metadata, annotations }, spec: { ...pool.spec, disabled: true } };
}

function* findPool(name: string | undefined, cidr: string | undefined): Transaction<StoredObject<PoolSpec>> {
  const wanted = cidr === undefined ? undefined : canonicalPrefix(cidr);
  const pools = (yield* list("IPPool")) as readonly StoredObject<PoolSpec>[];
  const found = pools.find((pool) => (name === undefined ? pool.spec.cidr === wanted : pool.metadata.name === name));
  if (found === undefined) throw new CliError(`cannot split pool ${name ?? cidr}: there is none`);
  return found;
}

function partsOf(pool: StoredObject<PoolSpec>, number: number): readonly StoredObject<PoolSpec>[] {
  const { cidr, family, blockSize }: Pool = decodePool(pool);
  const length = lengthOf(cidr) + Math.log2(number);
  if (length > blockSize) {
    throw new CliError(
      `cannot split ${nameOf(pool)} into ${number}: a part of /${length} is smaller than a block of /${blockSize}`,
    );
  }
  const { labels } = pool.metadata;
  return equalParts(cidr, family, length).map((part, index) => ({
    apiVersion: pool.apiVersion,
    kind: "IPPool",
    metadata: { name: `split-${pool.metadata.name}-${index}`, ...(labels !== undefined && { labels }) },
    spec: { ...pool.spec, blockSize, cidr: part },
  }));
}

function equalParts(cidr: string, family: Family, length: number): readonly string[] {
  const parts =
    family === 4
      ? IPv4CidrRange.fromCidr(cidr).splitInto(IPv4Prefix.fromNumber(BigInt(length)))
      : IPv6CidrRange.fromCidr(cidr).splitInto(IPv6Prefix.fromNumber(BigInt(length)));
  return parts.map((part) => maskPrefix(part.toCidrString()));
}

function nameOf({ metadata }: StoredObject): string {
  return `IPPool "${metadata.name}"`;
}

function conflict(pool: StoredObject): CliError {
  return new CliError(`cannot split ${nameOf(pool)}: another process changed it meanwhile; try again`);
}
