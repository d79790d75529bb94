import { describe, expect, test } from "vitest";
import { conflict, kubernetesApi, missing } from "../../../../src/store/kubernetes/api.ts";
import type { Answer, KubeTransport } from "../../../../src/store/kubernetes/transport.ts";

const about = { action: "read", object: { kind: "IPAMBlock", name: "b" } };
const call = { method: "GET", path: "/", timeoutMs: 1 } as const;

function answering(answer: Answer) {
  let forgotten = 0;
  const transport = {
    server: "https://10.0.0.1:6443",
    call: async () => answer,
    forgetCredentials: () => forgotten++,
  } as unknown as KubeTransport;
  return { api: kubernetesApi(transport), forgotten: () => forgotten };
}

const status = (message: string, details?: object) => ({ kind: "Status", message, ...(details && { details }) });

describe("what the API server answers", () => {
  test.each([
    ["an object", { status: 200, body: { a: 1n } }, { a: 1n }],
    ["no such object", { status: 404, body: status("not found", { name: "b" }) }, missing],
    ["somebody was faster", { status: 409, body: status("the object has been modified") }, conflict],
  ])("%s", async (_, answer, meaning) => {
    expect(await answering(answer).api.call(call, about)).toEqual(meaning);
  });

  test.each([
    [403, "forbidden", "StoreError", 'cannot read IPAMBlock "b": API server https://10.0.0.1:6443: 403: forbidden'],
    [422, "spec.cidr: Required value", "StoreError", "422: spec.cidr: Required value"],
    [429, "too many requests", "Unanswered", "429: too many requests"],
    [503, "apiserver is shutting down", "Unanswered", "503: apiserver is shutting down"],
    [410, "the provided continue parameter is too old", "Compacted", "410"],
  ])("%i is an error that says so", async (code, message, name, words) => {
    const { api } = answering({ status: code, body: status(message) });
    await expect(api.call(call, about)).rejects.toMatchObject({ name, message: expect.stringContaining(words) });
  });

  test("a resource that is not there is not an object that is not there", async () => {
    const { api } = answering({ status: 404, body: "404 page not found\n" });
    await expect(api.call(call, about)).rejects.toThrow(
      "404: 404 page not found; are Calico's CustomResourceDefinitions installed?",
    );
  });

  test("who is not known asks for credentials again, and tries again", async () => {
    const { api, forgotten } = answering({ status: 401, body: status("Unauthorized") });
    await expect(api.call(call, about)).rejects.toMatchObject({ name: "Unanswered" });
    expect(forgotten()).toBe(1);
  });
});
