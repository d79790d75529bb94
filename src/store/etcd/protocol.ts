/**
 * The part of etcd's gRPC protocol, version 3, that this driver uses: the messages that it sends and the fields that it reads. 64-bit integers
 * are strings, keys and values are bytes.
 */
import type { ServiceDefinition } from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";

export interface KeyValue {
  readonly key: Buffer;
  readonly modRevision: string;
  readonly value: Buffer;
}

interface Header {
  /** The store's revision when the request was executed. */
  readonly revision: string;
}

export interface RangeResponse {
  readonly header: Header;
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
}

export interface TxnResponse {
  readonly header: Header;
  readonly succeeded: boolean;
}

export interface LeaseGrantResponse {
  readonly ID: string;
}

export interface AuthenticateResponse {
  readonly token: string;
}

export interface WatchResponse {
  readonly header: Header;
  readonly created: boolean;
  readonly canceled: boolean;
  /** If not "0": changes up to this revision were compacted. */
  readonly compactRevision: string;
  readonly cancelReason: string;
  readonly events: readonly { readonly type: "PUT" | "DELETE"; readonly kv: KeyValue }[];
}

type Field = readonly [type: string, id: number, rule?: "repeated"];

function message(fields: Readonly<Record<string, Field>>, oneofs?: Readonly<Record<string, { oneof: string[] }>>) {
  const entries = Object.entries(fields).map(([name, [type, id, rule]]) => [name, { type, id, ...(rule && { rule }) }]);
  return { fields: Object.fromEntries(entries), ...(oneofs && { oneofs }) };
}

function unary(name: string) {
  return { requestType: `${name}Request`, responseType: `${name}Response` };
}

const mvccpb = {
  KeyValue: message({
    key: ["bytes", 1],
    createRevision: ["int64", 2],
    modRevision: ["int64", 3],
    version: ["int64", 4],
    value: ["bytes", 5],
    lease: ["int64", 6],
  }),
  Event: {
    ...message({ type: ["EventType", 1], kv: ["KeyValue", 2] }),
    nested: { EventType: { values: { PUT: 0, DELETE: 1 } } },
  },
};

const etcdserverpb = {
  KV: { methods: { Range: unary("Range"), Txn: unary("Txn") } },
  Watch: { methods: { Watch: { ...unary("Watch"), requestStream: true, responseStream: true } } },
  Auth: { methods: { Authenticate: unary("Authenticate") } },
  Lease: { methods: { LeaseGrant: unary("LeaseGrant") } },
  ResponseHeader: message({ revision: ["int64", 3] }),
  RangeRequest: message({
    key: ["bytes", 1],
    rangeEnd: ["bytes", 2],
    limit: ["int64", 3],
    revision: ["int64", 4],
  }),
  RangeResponse: message({
    header: ["ResponseHeader", 1],
    kvs: ["mvccpb.KeyValue", 2, "repeated"],
    more: ["bool", 3],
  }),
  PutRequest: message({ key: ["bytes", 1], value: ["bytes", 2], lease: ["int64", 3] }),
  DeleteRangeRequest: message({ key: ["bytes", 1] }),
  RequestOp: message(
    { requestPut: ["PutRequest", 2], requestDeleteRange: ["DeleteRangeRequest", 3] },
    { request: { oneof: ["requestPut", "requestDeleteRange"] } },
  ),
  Compare: {
    ...message(
      {
        result: ["CompareResult", 1],
        target: ["CompareTarget", 2],
        key: ["bytes", 3],
        version: ["int64", 4],
        modRevision: ["int64", 6],
      },
      { targetUnion: { oneof: ["version", "modRevision"] } },
    ),
    nested: {
      CompareResult: { values: { EQUAL: 0, GREATER: 1, LESS: 2, NOT_EQUAL: 3 } },
      CompareTarget: { values: { VERSION: 0, CREATE: 1, MOD: 2, VALUE: 3, LEASE: 4 } },
    },
  },
  TxnRequest: message({ compare: ["Compare", 1, "repeated"], success: ["RequestOp", 2, "repeated"] }),
  TxnResponse: message({ header: ["ResponseHeader", 1], succeeded: ["bool", 2] }),
  WatchCreateRequest: message({
    key: ["bytes", 1],
    rangeEnd: ["bytes", 2],
    startRevision: ["int64", 3],
    progressNotify: ["bool", 4],
  }),
  WatchRequest: message({ createRequest: ["WatchCreateRequest", 1] }, { requestUnion: { oneof: ["createRequest"] } }),
  WatchResponse: message({
    header: ["ResponseHeader", 1],
    created: ["bool", 3],
    canceled: ["bool", 4],
    compactRevision: ["int64", 5],
    cancelReason: ["string", 6],
    events: ["mvccpb.Event", 11, "repeated"],
  }),
  LeaseGrantRequest: message({ TTL: ["int64", 1], ID: ["int64", 2] }),
  LeaseGrantResponse: message({ ID: ["int64", 2], TTL: ["int64", 3] }),
  AuthenticateRequest: message({ name: ["string", 1], password: ["string", 2] }),
  AuthenticateResponse: message({ token: ["string", 2] }),
};

const services = ["KV", "Watch", "Auth", "Lease"] as const;
type Service = (typeof services)[number];

/** By the name of the service. */
export const methods: Readonly<Record<Service, ServiceDefinition>> = load();

function load(): Readonly<Record<Service, ServiceDefinition>> {
  const namespace = { nested: { mvccpb: { nested: mvccpb }, etcdserverpb: { nested: etcdserverpb } } };
  const definition = fromJSON(namespace as Parameters<typeof fromJSON>[0], {
    longs: String,
    enums: String,
    defaults: true,
  });
  const entries = services.map((name) => [name, definition[`etcdserverpb.${name}`] as ServiceDefinition] as const);
  return Object.fromEntries(entries) as Record<Service, ServiceDefinition>;
}
