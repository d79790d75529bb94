import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { crdsText } from "../../../src/cli/crds/command.ts";
import { root } from "../../lib/suite.ts";
import { World } from "./world.ts";

interface Schema {
  readonly type?: string;
  readonly format?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

interface Crd {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly names: object;
    readonly scope: string;
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
}

const recordings = join(root, "test/fixtures/calico-newest/crds");
const calicos = readdirSync(recordings).map((file) => parse(readFileSync(join(recordings, file), "utf8")) as Crd);
const ours = parseAllDocuments(crdsText()).map((document) => document.toJS() as Crd);

function specOf({ spec }: Crd): Schema {
  return spec.versions[0]?.schema.openAPIV3Schema.properties?.spec ?? {};
}

/** Each field with its type, by path. */
function fieldsOf({ properties = {}, items }: Schema, path = ""): readonly string[] {
  const inner = items === undefined ? [] : [`${path}[] ${items.type}`, ...fieldsOf(items, `${path}[]`)];
  const named = Object.entries(properties).flatMap(([name, schema]) => [
    `${path}.${name} ${schema.type}`,
    ...fieldsOf(schema, `${path}.${name}`),
  ]);
  return [...inner, ...named].sort();
}

describe("tortie crds", () => {
  test("prints the native group, which calls IPAMConfig otherwise and has another type of deleted", async () => {
    const { stdout } = await new World().run("crds --api-group projectcalico.org/v3");
    const native = parseAllDocuments(stdout).map((document) => document.toJS() as Crd);
    expect(native.map(({ metadata, spec }) => [metadata.name, spec.versions[0]?.name])).toEqual(
      ours.map(({ metadata: { name } }) => [
        name.replace("crd.", "").replace("ipamconfigs.", "ipamconfigurations."),
        "v3",
      ]),
    );
    const deletedIn = (crds: readonly Crd[]) =>
      crds
        .filter(({ metadata }) => metadata.name.startsWith("blockaffinities"))
        .map((crd) => specOf(crd).properties?.deleted?.type);
    expect([deletedIn(ours), deletedIn(native)]).toEqual([["string"], ["boolean"]]);
  });

  test("prints what the manifests hold", async () => {
    expect((await new World().run("crds")).stdout).toBe(crdsText());
    expect(readFileSync(join(root, "conf-examples/kubernetes/crds.yaml"), "utf8")).toBe(crdsText());
  });

  test.each(calicos.map((crd) => [crd.metadata.name, crd] as const))("%s has Calico's shape", (name, calicosOwn) => {
    const own = ours.find(({ metadata }) => metadata.name === name);
    if (own === undefined) throw new Error(`there is no ${name}`);
    expect(own.spec).toMatchObject({ group: calicosOwn.spec.group, names: calicosOwn.spec.names, scope: "Cluster" });
    expect(own.spec.versions.map((version) => version.name)).toEqual(["v1"]);
    // An open kind takes every field.
    const isOpen = specOf(own).properties === undefined || Object.keys(specOf(own).properties ?? {}).length === 0;
    if (isOpen) expect(specOf(own)).toMatchObject({ "x-kubernetes-preserve-unknown-fields": true });
    else expect(fieldsOf(specOf(own))).toEqual(fieldsOf(specOf(calicosOwn)));
    expect(specOf(own).required ?? []).toEqual(specOf(calicosOwn).required ?? []);
  });
});
