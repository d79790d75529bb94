/** The built `tortie` on a private node with pods of the built plugins. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { type Completed, Node } from "../lib/node/netns.ts";
import { addressOf, Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, pluginDirs, requireBuild, root } from "../lib/suite.ts";

const list = loadConflist(example("10-calico.conflist"));
const program = join(root, "dist/tortie.js");
let node: Node;
let runner: Runner;

beforeAll(async () => {
  requireBuild();
  if (!existsSync(program)) throw new Error(`cannot test: ${program} is missing; run "npm run build"`);
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
});

afterAll(async () => {
  await node?.stop();
});

function tortie(line: string, stdin = ""): Completed {
  return node.run([process.execPath, program, ...line.split(" ")], { stdin });
}

function add(pod: string): { readonly sandbox: Sandbox; readonly address: string } {
  const args = [
    ["K8S_POD_NAMESPACE", "default"],
    ["K8S_POD_NAME", pod],
  ] as const;
  const sandbox = { containerId: `${pod}-0a1b2c`, netns: node.addPod(pod), ifname: "eth0", args };
  return { sandbox, address: addressOf(runner.add(list, sandbox)) };
}

describe("tortie on a node with pods", () => {
  test("shows their addresses and endpoints, and check finds nothing", () => {
    const [one, other] = [add("web-0"), add("web-1")];
    expect(tortie("ipam show").stdout).toMatch(
      /^\| IP Pool +\| 192\.168\.0\.0\/16 +\| +65536 \| +2 \(0%\) \| +0 \(0%\) \| 65534 \(100%\) \|$/m,
    );
    expect(tortie(`ipam show --ip ${one.address}`).stdout).toContain("  pod: web-0\n");
    expect(tortie("get wep").stdout).toMatch(new RegExp(`^default +web-1 +node-a +${other.address}/32 +cali`, "m"));
    const check = tortie("ipam check");
    expect(check).toMatchObject({ status: 0, stderr: "" });
    expect(check.stdout).toContain("Check complete; found 0 problems.");
  });

  test("names an address whose sandbox went away behind IPAM's back, and repairs it from the report", () => {
    const { sandbox, address } = add("gone");
    const live = add("stays");
    node.removePod("gone");
    const check = tortie("ipam check -o /run/report.json");
    expect(check.status).toBe(3);
    expect(check.stdout).toContain(`  ${address} is of default/gone eth0, and its sandbox "/run/netns/gone" is gone\n`);
    expect(check.stdout).toContain("Check complete; found 1 problems.");

    const rehearsal = tortie("ipam release --from-report /run/report.json --dry-run");
    expect(rehearsal).toMatchObject({ status: 0, stderr: "" });
    expect(rehearsal.stdout).toContain("1 of 1 confirmed problems repaired (dry run)");
    expect(tortie("ipam check").status).toBe(3);

    expect(tortie(`ipam release --ip ${live.address}`)).toMatchObject({ status: 1, stdout: "" });
    const repaired = tortie("ipam release --from-report /run/report.json");
    expect(repaired).toMatchObject({ status: 0, stderr: "" });
    expect(repaired.stdout).toContain(`released ${address} of handle`);
    expect(tortie("ipam check")).toMatchObject({ status: 0, stderr: "" });
    expect(tortie(`ipam show --ip ${address}`).stdout).toBe(`${address} is not assigned\n`);
    expect(tortie(`ipam show --ip ${live.address}`).stdout).toContain("  pod: stays\n");
    runner.del(list, sandbox);
  });

  test("leaves an address alone that was given to another sandbox since the report", () => {
    const old = add("old");
    node.removePod("old");
    expect(tortie("ipam check -o /run/stale.json").status).toBe(3);
    runner.del(list, old.sandbox);
    const asked = { ...add("young").sandbox };
    const again = tortie("ipam release --from-report /run/stale.json");
    expect(again.stderr).toContain(`left alone: leaked address ${old.address}: no longer confirmed`);
    expect(again.stdout).toBe("0 of 0 confirmed problems repaired\n");
    runner.check(list, asked);
  });

  test("refuses a report of another node", () => {
    expect(tortie("--node elsewhere ipam release --from-report /run/report.json")).toMatchObject({
      status: 1,
      stdout: "",
      stderr: 'tortie: cannot use report "/run/report.json": it is from node "node-a", and this is "elsewhere"\n',
    });
  });

  test("feeds what it gets back to apply, and finds it unchanged", () => {
    for (const kind of ["ippool", "ipamblock", "ipamhandle", "blockaffinity", "wep"]) {
      const document = tortie(`get ${kind} -o yaml`).stdout;
      const applied = tortie("apply -f -", document);
      expect(applied).toMatchObject({ status: 0, stderr: "" });
      expect(applied.stdout).toMatch(/^(\w+ "\S+" unchanged\n)+$/);
    }
  });

  test("pods get their addresses from a pool that was applied", () => {
    const pool = {
      apiVersion: "projectcalico.org/v3",
      kind: "IPPool",
      metadata: { name: "more" },
      spec: { cidr: "10.9.0.0/24" },
    };
    expect(tortie("apply -f -", JSON.stringify(pool)).stdout).toBe('IPPool "more" created\n');
    const args = [["IP", "10.9.0.77"]] as const;
    const sandbox = { containerId: "asked-0a1b2c", netns: node.addPod("asked"), ifname: "eth0", args };
    expect(runner.add(list, sandbox).ips?.[0]?.address).toBe("10.9.0.77/32");
    expect(tortie("delete ippool more")).toMatchObject({
      status: 1,
      stderr: 'tortie: cannot delete IPPool "more": 1 of its addresses is in use (pass --force)\n',
    });
    runner.del(list, sandbox);
    expect(tortie("delete ippool more").stdout).toBe('IPPool "more" deleted, 1 affinity released\n');
    expect(tortie("get blockaffinity").stdout).not.toContain("10.9.0");
  });
});

test.each([
  ["ip", "ipam check"],
  ["flock", "ipam configure --strictaffinity=true"],
])("the error names %s if that program is missing", (program, line) => {
  const { status, stderr } = node.run([process.execPath, join(root, "dist/tortie.js"), ...line.split(" ")], {
    env: { PATH: "/nowhere" },
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(new RegExp(`: the program "${program}" is not installed, or not in PATH\n$`));
});
