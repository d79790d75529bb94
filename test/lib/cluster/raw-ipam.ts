/** The objects of IPAM as they are stored, by requests of our own: not through our drivers. Layouts and conventions are Calico's. */
import { affinityLabels } from "../../../src/store/affinity-labels.ts";
import { parseJson, stringifyJson } from "../../../src/store/json.ts";
import type { Etcd } from "./etcd.ts";
import type { KubeApiserver } from "./kube-apiserver.ts";

export type Fields = Readonly<Record<string, unknown>>;
export type RawKind = "block" | "affinity" | "handle";

/** What an object is about: a block's CIDR, an affinity's node and CIDR, a handle's ID. */
export interface RawKey {
  readonly kind: RawKind;
  readonly cidr?: string;
  readonly node?: string;
  readonly handle?: string;
}

export interface RawObject {
  readonly key: RawKey;
  readonly spec: Fields;
  /** The whole resource, or the etcd key's revision. */
  readonly stored: Fields;
}

/** Each write returns whether it succeeded: `false` if the object exists, changed, or is gone. */
export interface RawIpam {
  read(key: RawKey): Promise<RawObject | undefined>;
  list(kind: RawKind): Promise<readonly RawObject[]>;
  create(key: RawKey, spec: Fields, options?: { readonly isLabelled?: boolean }): Promise<boolean>;
  /** `marks`: whether it also writes what no program of today knows. */
  update(object: RawObject, spec: Fields, options?: { readonly marks?: boolean }): Promise<boolean>;
  remove(object: RawObject): Promise<boolean>;
  /** Adds the labels that releases before 3.31 did not write. */
  label(object: RawObject): Promise<boolean>;
  isMarked(object: RawObject): boolean;
  /** The fields of a block that have other names or exist in one datastore alone. */
  blockFields(time: string): Fields;
}

const mark = "future.example/mark";
const bigNumber = 9_007_199_254_740_993n;

export function etcdIpam(etcd: Etcd): RawIpam {
  const prefixes = {
    block: "/calico/ipam/v2/assignment/ipv4/block/",
    affinity: "/calico/ipam/v2/host/",
    handle: "/calico/ipam/v2/handle/",
  };
  const path = ({ kind, cidr = "", node = "", handle = "" }: RawKey) => {
    const block = cidr.replace("/", "-");
    return prefixes[kind] + { block, affinity: `${node}/ipv4/block/${block}`, handle }[kind];
  };
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const text = (value: string) => Buffer.from(value, "base64").toString();
  async function change(at: RawKey, revision: unknown, success: object): Promise<boolean> {
    const compare = [{ key: base64(path(at)), target: "MOD", result: "EQUAL", mod_revision: revision }];
    return (
      (await etcd.post<{ readonly succeeded?: boolean }>("kv/txn", { compare, success: [success] })).succeeded === true
    );
  }
  const put = (at: RawKey, spec: Fields) => ({
    request_put: { key: base64(path(at)), value: base64(stringifyJson(spec)) },
  });
  async function range(key: string, end?: string) {
    type Found = {
      readonly kvs?: readonly { readonly key: string; readonly value: string; readonly mod_revision: string }[];
    };
    const more = end === undefined ? {} : { range_end: base64(end) };
    return (await etcd.post<Found>("kv/range", { key: base64(key), ...more })).kvs ?? [];
  }
  function keyAt(kind: RawKind, key: string): RawKey {
    const rest = key.slice(prefixes[kind].length);
    const cidr = (rest.split("/").at(-1) ?? "").replace(/-(\d+)$/, "/$1");
    if (kind === "affinity") return { kind, cidr, node: rest.split("/")[0] ?? "" };
    return kind === "block" ? { kind, cidr } : { kind, handle: rest };
  }
  return {
    async read(key) {
      const [found] = await range(path(key));
      return found && { key, spec: parseJson(text(found.value)) as Fields, stored: { revision: found.mod_revision } };
    },
    async list(kind) {
      const found = await range(prefixes[kind], `${prefixes[kind].slice(0, -1)}0`);
      return found.map(({ key, value, mod_revision: revision }) => ({
        ...{ key: keyAt(kind, text(key)), spec: parseJson(text(value)) as Fields, stored: { revision } },
      }));
    },
    create: (key, spec) => change(key, 0, put(key, etcdSpec(key.kind, spec))),
    update: ({ key, stored }, spec, { marks = false } = {}) =>
      change(key, stored.revision, put(key, { ...etcdSpec(key.kind, spec), ...(marks && { futureField: bigNumber }) })),
    remove: ({ key, stored }) => change(key, stored.revision, { request_delete_range: { key: base64(path(key)) } }),
    label: async () => true,
    isMarked: ({ spec }) => spec.futureField === bigNumber,
    blockFields: (time) => ({ affinity_claim_time: time }),
  };
}

/** An affinity's value has neither node nor CIDR, a handle's not its ID: the key has them. */
function etcdSpec(kind: RawKind, spec: Fields): Fields {
  if (kind === "affinity") return { state: spec.state, deleted: false };
  const { handleID: _id, ...handle } = spec;
  return kind === "handle" ? handle : spec;
}

export function kubernetesIpam(api: KubeApiserver): RawIpam {
  const group = "/apis/crd.projectcalico.org/v1";
  const plurals = { block: "ipamblocks", affinity: "blockaffinities", handle: "ipamhandles" };
  const kinds = { block: "IPAMBlock", affinity: "BlockAffinity", handle: "IPAMHandle" };
  const nameOf = ({ kind, cidr = "", node, handle = "" }: RawKey) => {
    const block = cidr.replace(/[.:/]/g, "-");
    return { block, affinity: `${node}-${block}`, handle: handle.toLowerCase() }[kind];
  };
  const path = (key: RawKey) => `${group}/${plurals[key.kind]}/${nameOf(key)}`;
  type Stored = Fields & { readonly metadata: Fields; readonly spec: Fields };
  const objectOf = (kind: RawKind, stored: Stored): RawObject => {
    const { cidr, node, handleID } = stored.spec as {
      readonly cidr?: string;
      readonly node?: string;
      readonly handleID?: string;
    };
    const own = { block: { cidr }, affinity: { cidr, node }, handle: { handle: handleID } }[kind];
    return { key: { kind, ...own } as RawKey, spec: stored.spec, stored };
  };
  async function write(method: string, at: string, body: Fields): Promise<Stored | undefined> {
    const { status, text } = await api.call(method, at, stringifyJson(body));
    if (status === 404 || status === 409) return undefined;
    if (status >= 300) throw new Error(`${method} ${at}: ${text}`);
    return parseJson(text) as Stored;
  }
  const replace = ({ key, stored }: RawObject, changes: Fields) => write("PUT", path(key), { ...stored, ...changes });
  const labelsOf = ({ cidr = "", node = "" }: RawKey) => {
    const labels = affinityLabels(node, cidr);
    return { labels, annotations: { "projectcalico.org/metadata": stringifyJson({ labels }) } };
  };
  return {
    async read(key) {
      const { status, text } = await api.call("GET", path(key));
      return status === 404 ? undefined : objectOf(key.kind, parseJson(text) as Stored);
    },
    async list(kind) {
      const { items } = await api.json<{ readonly items: readonly Stored[] }>("GET", `${group}/${plurals[kind]}`);
      return items.map((item) => objectOf(kind, item));
    },
    async create(key, spec, { isLabelled = true } = {}) {
      const unlabelled = { annotations: { "projectcalico.org/metadata": "{}" } };
      const more = key.kind === "affinity" && isLabelled ? labelsOf(key) : unlabelled;
      const object = {
        apiVersion: "crd.projectcalico.org/v1",
        kind: kinds[key.kind],
        metadata: { name: nameOf(key), ...more },
        spec,
      };
      return (await write("POST", `${group}/${plurals[key.kind]}`, object)) !== undefined;
    },
    async update(object, spec, { marks = false } = {}) {
      const marked = marks ? withMarks(object.stored.metadata as Metadata) : object.stored.metadata;
      return (await replace(object, { spec, metadata: marked })) !== undefined;
    },
    async remove(object) {
      const deleted = object.key.kind === "affinity" ? "true" : true;
      const half = await replace(object, { spec: { ...object.spec, deleted } });
      if (half === undefined) return false;
      const { uid } = half.metadata;
      return (
        (await write("DELETE", path(object.key), {
          kind: "DeleteOptions",
          apiVersion: "v1",
          preconditions: { uid },
        })) !== undefined
      );
    },
    async label(object) {
      const metadata = object.stored.metadata as Record<string, Fields>;
      const { labels, annotations } = labelsOf(object.key);
      const merged = {
        labels: { ...metadata.labels, ...labels },
        annotations: { ...metadata.annotations, ...annotations },
      };
      return (await replace(object, { metadata: { ...metadata, ...merged } })) !== undefined;
    },
    isMarked: ({ stored }) => {
      const { ownerReferences, annotations } = stored.metadata as Metadata;
      const { labels, annotations: hidden } = hiddenIn(annotations);
      return ownerReferences !== undefined && [labels, hidden].every((one) => one?.[mark] === "kept");
    },
    blockFields: (time) => ({ affinityClaimTime: time, strictAffinity: false }),
  };
}

type Texts = Readonly<Record<string, string>>;
interface Metadata extends Fields {
  readonly annotations?: Texts;
}

const metadataAnnotation = "projectcalico.org/metadata";

/** The labels and annotations of Calico's object, which it keeps in one annotation of the resource. */
function hiddenIn(annotations: Texts = {}): { readonly labels?: Texts; readonly annotations?: Texts } {
  return JSON.parse(annotations[metadataAnnotation] ?? "{}");
}

function withMarks({ annotations = {}, ...others }: Metadata): Fields {
  const { labels, annotations: hidden } = hiddenIn(annotations);
  const marked = { labels: { ...labels, [mark]: "kept" }, annotations: { ...hidden, [mark]: "kept" } };
  const ownerReferences = [
    { apiVersion: "v1", kind: "Node", name: "future", uid: "00000000-0000-4000-8000-000000000001" },
  ];
  return { ...others, ownerReferences, annotations: { ...annotations, [metadataAnnotation]: JSON.stringify(marked) } };
}
