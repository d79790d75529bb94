/** A test's own real API server: on loopback, with its own etcd and the schemas of a cluster with Calico. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parse, parseAllDocuments } from "yaml";
import { parseJson } from "../../../src/store/json.ts";
import { root } from "../suite.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";
import { Etcd, freePort } from "./etcd.ts";
import { signalServer } from "./freeze.ts";
import { kubernetesPrograms } from "./kubernetes-build.ts";

const answerMs = 60_000;
const crds = join(root, "test/fixtures/calico-newest/crds");
const subject = "/O=system:masters/CN=tortie";
export const token = "token-of-root";

export class KubeApiserver {
  readonly etcd: Etcd;
  readonly port: number;
  readonly server: string;
  readonly kubeconfig: string;
  readonly #directory: string;
  readonly files: Certificates;
  readonly #program: string;
  #process: ChildProcess | undefined;

  private constructor(program: string, etcd: Etcd, port: number, directory: string) {
    this.etcd = etcd;
    this.port = port;
    this.server = `https://127.0.0.1:${port}`;
    this.kubeconfig = join(directory, "kubeconfig");
    this.#program = program;
    this.#directory = directory;
    this.files = makeCertificates(directory, subject);
    writeFileSync(join(directory, "tokens"), `${token},root,root,system:masters\n`);
    writeFileSync(this.kubeconfig, this.#kubeconfig());
  }

  /** `schemas`: with those of a cluster with Calico, as recorded; the default. */
  static async start({ schemas = true } = {}): Promise<KubeApiserver> {
    const program = (await kubernetesPrograms("kube-apiserver"))["kube-apiserver"];
    const etcd = await Etcd.start();
    const server = new KubeApiserver(program, etcd, await freePort(), mkdtempSync(join(tmpdir(), "tortie-apiserver-")));
    try {
      await server.begin();
      if (schemas) await server.#installSchemas();
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** Starts the server on its existing data and waits until it answers. */
  async begin(): Promise<void> {
    const { ca, cert, key } = this.files;
    const flags = {
      "etcd-servers": this.etcd.endpoint,
      "secure-port": this.port,
      "bind-address": "127.0.0.1",
      "endpoint-reconciler-type": "none",
      "cert-dir": this.#directory,
      "tls-cert-file": cert,
      "tls-private-key-file": key,
      "client-ca-file": ca,
      "token-auth-file": join(this.#directory, "tokens"),
      "authorization-mode": "RBAC",
      "service-account-issuer": "https://kubernetes.default.svc",
      "service-account-key-file": cert,
      "service-account-signing-key-file": key,
      "service-cluster-ip-range": "10.0.0.0/24",
      "allow-privileged": true,
    };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const child = spawn(this.#program, args, { stdio: ["ignore", "ignore", "pipe"] });
    this.#process = child;
    let log = "";
    child.stderr.on("data", (bytes: Buffer) => {
      log = (log + bytes.toString()).slice(-3000);
    });
    for (
      const deadline = Date.now() + 120_000;
      (await this.call("GET", "/readyz").catch(() => undefined))?.status !== 200;
    ) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`cannot start kube-apiserver: ${log}`);
      await sleep(100);
    }
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    signalServer(this.#process, signal);
  }

  /** Kills the server, as a crash would. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    await this.etcd.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** Replaces the files of the authority and of all certificates that it signed. */
  renewCertificates(): void {
    makeCertificates(this.#directory, subject);
  }

  /** Removes every object of Calico, in both APIs. */
  async clear(): Promise<void> {
    for (const group of ["crd.projectcalico.org", "projectcalico.org"]) await this.etcd.clear(`/registry/${group}/`);
  }

  /** A request of a superuser, not through our driver. Rejects if it gets no answer, or a part of one. */
  call(
    method: string,
    path: string,
    body?: unknown,
    type = "application/json",
  ): Promise<{ readonly status: number; readonly text: string }> {
    const { ca, cert, key } = this.files;
    const [tlsCa, tlsCert, tlsKey] = [ca, cert, key].map((file) => readFileSync(file));
    return new Promise((resolve, reject) => {
      const headers = { "content-type": type };
      const options = { method, headers, ca: tlsCa, cert: tlsCert, key: tlsKey, agent: false };
      const sent = request(this.server + path, options, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part) => {
          text += part;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        // A server that is killed in the middle of an answer.
        response.on("error", reject);
      });
      sent.on("error", reject);
      sent.setTimeout(answerMs, () => sent.destroy(new Error(`no answer to ${method} ${path}`)));
      sent.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body));
    });
  }

  async #installSchemas(): Promise<void> {
    const schemas = readdirSync(crds).flatMap((file) => {
      const text = readFileSync(join(crds, file), "utf8");
      return [parse(text), parse(asNative(text))] as { readonly spec: { readonly group: string } }[];
    });
    for (const schema of schemas) {
      const { status, text } = await this.call(
        "POST",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        schema,
      );
      if (status !== 201) throw new Error(`cannot install a schema: ${text}`);
    }
    for (const path of ["crd.projectcalico.org/v1/ipamblocks", "projectcalico.org/v3/ipamconfigurations"]) {
      for (const deadline = Date.now() + 60_000; (await this.call("GET", `/apis/${path}`)).status !== 200; ) {
        if (Date.now() > deadline) throw new Error(`the API server does not serve ${path}`);
        await sleep(100);
      }
    }
    // Discovery is not sufficient: each schema is served a little later.
    await sleep(500);
  }

  /** The same for a request that must succeed; the numbers of the answer are exact. */
  async json<Body>(method: string, path: string, body?: object): Promise<Body> {
    const { status, text } = await this.call(method, path, body);
    if (status >= 300) throw new Error(`${method} ${path}: ${text}`);
    return parseJson(text) as Body;
  }

  /** Applies a file of manifests as a superuser. */
  async apply(file: string): Promise<void> {
    for (const document of parseAllDocuments(readFileSync(file, "utf8")))
      await this.#create(document.toJS() as Manifest);
  }

  async #create(manifest: Manifest): Promise<void> {
    const { status, text } = await this.call("POST", pathOf(manifest), manifest);
    if (status !== 201) throw new Error(`cannot apply ${manifest.kind} ${manifest.metadata.name}: ${text}`);
  }

  /** The same by server-side apply, which checks every field; with `dryRun` it only checks. */
  async applyOnServer(
    file: string,
    { dryRun = false, change = (manifest) => manifest }: ApplyOptions = {},
  ): Promise<void> {
    for (const document of parseAllDocuments(readFileSync(file, "utf8"))) {
      const manifest = change(document.toJS() as Manifest);
      const path = `${pathOf(manifest)}/${manifest.metadata.name}`;
      const query = `fieldManager=test&fieldValidation=Strict${dryRun ? "&dryRun=All" : ""}`;
      const { status, text } = await this.call("PATCH", `${path}?${query}`, manifest, "application/apply-patch+yaml");
      if (status > 201) throw new Error(`cannot apply ${manifest.kind} ${manifest.metadata.name}: ${text}`);
    }
  }

  /** Waits until the resource is there, and as wanted. */
  async until<Body>(path: string, isWanted: (body: Body) => boolean, timeoutMs = 60_000): Promise<void> {
    for (const deadline = Date.now() + timeoutMs; ; await sleep(100)) {
      const { status, text } = await this.call("GET", path);
      if (status === 200 && isWanted(parseJson(text) as Body)) return;
      if (Date.now() > deadline) throw new Error(`it took too long: ${path}: ${text}`);
    }
  }

  /** The path of a kubeconfig for a service account's own token. */
  async kubeconfigOf(namespace: string, account: string): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
    const { status, text } = await this.call("POST", path, {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
    });
    if (status !== 201) throw new Error(`cannot make a token for ${account}: ${text}`);
    const { status: granted } = JSON.parse(text) as { readonly status: { readonly token: string } };
    const file = join(this.#directory, `kubeconfig-${account}`);
    const config = {
      ...{ apiVersion: "v1", kind: "Config", "current-context": account },
      clusters: [{ name: "c", cluster: { server: this.server, "certificate-authority": this.files.ca } }],
      users: [{ name: account, user: { token: granted.token } }],
      contexts: [{ name: account, context: { cluster: "c", user: account } }],
    };
    writeFileSync(file, JSON.stringify(config));
    return file;
  }

  #kubeconfig(): string {
    const { ca, cert, key } = this.files;
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "by-certificate",
      clusters: [{ name: "c", cluster: { server: this.server, "certificate-authority": ca } }],
      users: [
        { name: "certificate", user: { "client-certificate": cert, "client-key": key } },
        { name: "token", user: { token } },
        { name: "program", user: byProgram(tokenGiver) },
        { name: "hanging-program", user: byProgram("sleep 5") },
      ],
      contexts: ["certificate", "token", "program", "hanging-program"].map((user) => ({
        name: `by-${user}`,
        context: { cluster: "c", user },
      })),
    });
  }
}

export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly [field: string]: unknown;
}

interface ApplyOptions {
  readonly dryRun?: boolean;
  readonly change?: (manifest: Manifest) => Manifest;
}

/** Where the kinds of our manifests are created. */
function pathOf({ kind }: Manifest): string {
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  const paths: Readonly<Record<string, string>> = {
    ServiceAccount: "/api/v1/namespaces/kube-system/serviceaccounts",
    ClusterRole: `${rbac}/clusterroles`,
    ClusterRoleBinding: `${rbac}/clusterrolebindings`,
    Role: `${rbac}/namespaces/kube-system/roles`,
    RoleBinding: `${rbac}/namespaces/kube-system/rolebindings`,
    ConfigMap: "/api/v1/namespaces/kube-system/configmaps",
    DaemonSet: "/apis/apps/v1/namespaces/kube-system/daemonsets",
    CustomResourceDefinition: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
  };
  const path = paths[kind];
  if (path === undefined) throw new Error(`no path is known for ${kind}`);
  return path;
}

function byProgram(script: string): object {
  return { exec: { apiVersion: "client.authentication.k8s.io/v1", command: "sh", args: ["-c", script] } };
}

/** Answers like a cloud provider's credential plugin. */
const tokenGiver = `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"${token}"}}'`;

/** The same schema in the API of Calico 3.32, which `calico_api_group` selects. */
function asNative(schema: string): string {
  return schema
    .replaceAll("crd.projectcalico.org", "projectcalico.org")
    .replaceAll("ipamconfigs", "ipamconfigurations")
    .replaceAll(/IPAMConfig(?=$|List)/gm, "IPAMConfiguration")
    .replace("name: v1\n", "name: v3\n")
    .replace(/(kind: BlockAffinity\n[\s\S]*deleted:\s+type: )string/, "$1boolean");
}
