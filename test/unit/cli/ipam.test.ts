import { describe, expect, test } from "vitest";
import { commands } from "../../../src/cli/commands.ts";
import type { ReportFile } from "../../../src/cli/ipam/report-file.ts";
import { type Endpoint, writeEndpoint } from "../../../src/endpoint/endpoint.ts";
import { type Origin, originOf } from "../../../src/endpoint/origin.ts";
import { ownerOf } from "../../../src/identity/attachment.ts";
import { autoAssign } from "../../../src/ipam/assign/assign.ts";
import { handleIdOf } from "../../../src/ipam/model/handle.ts";
import { decodePool } from "../../../src/ipam/model/pool.ts";
import { fixtureWorld, World } from "./world.ts";

const network = "net";

/** A node with a pool, by default of four blocks of four addresses. */
async function node(spec = { cidr: "10.0.0.0/28", blockSize: 30 }): Promise<World> {
  const world = new World({ node: "node-1" }).withNode();
  const pool = { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "p" }, spec };
  await world.run("create -f -", JSON.stringify(pool));
  return world;
}

/** Adds a pod with a namespace and an endpoint's record, as an ADD does. Returns its address. */
function addPod(world: World, name: string, origin: Origin | null | undefined = originOf(world.sys)): string {
  const attachment = { network, containerId: name, ifname: "eth0" };
  const pool = world.object("IPPool", "p");
  if (pool === undefined) throw new Error("no pool");
  const attributes = { interface: "eth0", namespace: "default", node: "node-1", pod: name };
  const assigned = world.drive(
    autoAssign({
      handleId: handleIdOf(attachment),
      node: "node-1",
      attributes,
      now: 1n,
      pools: { pools: [decodePool(pool)], faults: [] },
      wanted: [{ family: 4, pools: [], count: 1 }],
    }),
  );
  const address = assigned[0]?.address ?? "";
  const endpoint: Endpoint = {
    attachment,
    node: "node-1",
    pod: { namespace: "default", name },
    hostInterface: `cali${name}`,
    mac: "ee:ee:ee:ee:ee:ee",
    addresses: [`${address}/32`],
    netns: world.addNamespace(name, [address]),
    ...(origin && { origin }),
  };
  writeEndpoint(world.sys, endpoint);
  return address;
}

describe("tortie ipam check", () => {
  test("finds nothing wrong with pods as ADD leaves them", async () => {
    const world = await node();
    for (const name of ["a", "b", "c", "d", "e"]) addPod(world, name);
    expect(await world.run("ipam check")).toEqual({
      status: 0,
      stderr: "",
      stdout: `\
Checking IPAM for inconsistencies...

Found 2 IPAM blocks.
IPAM blocks record 5 allocations.
Found 1 active IP pools.
Found 5 workload endpoints; 5 IPs are seen on the node and in its namespaces.

Scanning for damaged objects, and for malformed and missing blocks...
Found 0 objects that cannot be read.
Found 0 malformed blocks.
Found 0 missing blocks of which endpoints have addresses.

Scanning for IPs that are allocated but not actually in use...
Found 0 IPs that are allocated in IPAM but not actually in use.

Scanning for IPs that are in use by a workload or node but not allocated in IPAM...
Found 0 in-use IPs that are in active IP pools but have no corresponding IPAM allocation.
Found 0 allocated IPs that are not in active IP pools.

Scanning for IPAM handles with no matching IPs...
Found 0 handles with no matching IPs.

Scanning for IPs with missing handle...
Found 0 handles mentioned in blocks with no matching handle resource.
Found 0 handles with wrong counts.

Scanning for affinities that do not match their blocks...
Found 0 affinities that do not match their blocks.

Check complete; found 0 problems.
`,
    });
  });

  test("names an address whose namespace is gone, ends with 3, and writes a report", async () => {
    const world = await node();
    const address = addPod(world, "a");
    addPod(world, "b");
    world.removeNamespace("a");
    const { status, stdout } = await world.run("ipam check -o /tmp/r.json");
    expect(status).toBe(3);
    expect(stdout).toContain(`  ${address} is of default/a eth0, and its sandbox "/run/netns/a" is gone\n`);
    const report = JSON.parse(world.sys.readFile("/tmp/r.json")) as ReportFile;
    expect(report).toMatchObject({
      version: 1,
      node: "node-1",
      problems: [{ kind: "leaked address", subject: address }],
    });
    expect(report.allocations.map(({ state }) => state)).toEqual(["leaked", "in use"]);
    expect((await world.run("ipam check -o -")).stdout).toBe(world.sys.readFile("/tmp/r.json"));
  });

  test("an ifb that outlived its pod is no sign that the pod's address is in use", async () => {
    const world = await node();
    const address = addPod(world, "a");
    world.removeNamespace("a");
    const alias = ownerOf({ network: "net", containerId: "a", ifname: "eth0" });
    world.programs.set("ip -j link show", JSON.stringify([{ ifname: "bwp0123456789ab", ifalias: alias }]));
    const { status, stdout } = await world.run("ipam check");
    expect(status).toBe(3);
    expect(stdout).toContain(`  ${address} is of default/a eth0, and its sandbox "/run/netns/a" is gone\n`);
  });

  test("names an address that is in use and that no block records", async () => {
    const world = await node();
    addPod(world, "a");
    world.addNamespace("stranger", ["10.0.0.9"]);
    const { status, stdout } = await world.run("ipam check");
    expect(status).toBe(3);
    expect(stdout).toContain('  10.0.0.9 is in use on eth0 in "/run/netns/stranger", but no block records it\n');
  });

  test.each([
    [
      "an interface of the node",
      "ip -j address show",
      '[{"ifname":"tunl0","addr_info":[{"local":"10.0.0.9","scope":"global"}]}]',
    ],
    [
      "a route to a host interface",
      "ip -j -4 route show",
      '[{"dst":"10.0.0.9","dev":"cali0123"},{"dst":"default","dev":"eth0"}]',
    ],
  ])("sees addresses by %s", async (_, line, text) => {
    const world = await node();
    world.programs.set(line, text);
    expect((await world.run("ipam check")).stdout).toContain("  10.0.0.9 is in use on ");
  });

  test("--show-all-ips lists every allocation; --show-problem-ips all problems", async () => {
    const world = await node();
    for (let pod = 0; pod < 12; pod++) {
      addPod(world, `p${pod}`);
      world.removeNamespace(`p${pod}`);
    }
    const brief = (await world.run("ipam check")).stdout;
    expect(brief).toContain("  and 2 more (--show-problem-ips)\n");
    const lines = (await world.run("ipam check --show-problem-ips --show-all-ips")).stdout.split("\n");
    expect(lines.filter((line) => /^ {2}10\.0\.0\.\d+ is of /.test(line))).toHaveLength(12);
    expect(lines.filter((line) => /^ {2}10\.0\.0\.\d+ leaked: default\/p/.test(line))).toHaveLength(12);
  });

  test("names a damaged object and goes on", async () => {
    const world = await node();
    addPod(world, "a");
    world.write("/run/tortie/ipam/handles/net.x.json", "{");
    const { status, stdout } = await world.run("ipam check");
    expect(status).toBe(3);
    expect(stdout).toContain("Found 1 objects that cannot be read.");
    expect(stdout).toContain("net.x");
  });

  test("finds Calico's own block sound, though it has numbers of addresses that were released", async () => {
    const { stdout } = await fixtureWorld().withNode().run("ipam check");
    expect(stdout).toContain("IPAM blocks record 8 allocations.\n");
    expect(stdout).toContain("Found 0 malformed blocks.\n");
  });

  test("fails when a namespace that is there cannot be looked into: it might hold any address", async () => {
    const world = await node();
    addPod(world, "a");
    world.programs.delete("ip -n a -j address show");
    const { status, stdout, stderr } = await world.run("ipam check");
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain('tortie: cannot look into the namespace "/run/netns/a": ');
  });
});

describe("tortie ipam release", () => {
  async function withLeak(): Promise<{ readonly world: World; readonly address: string }> {
    const world = await node();
    const address = addPod(world, "a");
    addPod(world, "b");
    world.removeNamespace("a");
    await world.run("ipam check -o /tmp/r.json");
    return { world, address };
  }

  test("--from-report repairs what a fresh look confirms", async () => {
    const { world, address } = await withLeak();
    const before = world.machine.files.print();
    const rehearsal = await world.run("ipam release --from-report /tmp/r.json --dry-run");
    expect(rehearsal.stdout).toBe(
      `released ${address} of handle "net.a" (dry run)\n1 of 1 confirmed problems repaired (dry run)\n`,
    );
    expect(world.machine.files.print()).toBe(before);
    const repaired = await world.run("ipam release --from-report /tmp/r.json");
    expect(repaired).toMatchObject({ status: 0, stderr: "" });
    expect((await world.run("ipam check")).status).toBe(0);
    expect((await world.run(`ipam show --ip ${address}`)).stdout).toContain("is not assigned");
  });

  test.each([
    ["of an ADD in another mount namespace", { mount: 7, net: 1 }],
    ["of an ADD in another network namespace", { mount: 4_026_531_841, net: 99 }],
    ["of an earlier release", null],
  ])("leaves alone, with and without a report, what %s cannot be told of", async (_, origin) => {
    const world = await node();
    const address = addPod(world, "a", origin);
    world.removeNamespace("a");
    expect((await world.run("ipam check -o /tmp/r.json")).status).toBe(0);
    const reason = 'its sandbox "/run/netns/a" is not visible from here';
    expect((await world.run(`ipam release --ip ${address}`)).stderr).toContain(
      `may be in use by default/a eth0: ${reason}`,
    );
    expect((await world.run("delete wep node--1-k8s-a-eth0")).stderr).toContain(reason);
    expect((await world.run("ipam release --from-report /tmp/r.json")).stdout).toBe(
      "0 of 0 confirmed problems repaired\n",
    );
  });

  test("--from-report gives the lock to others between batches of many leaks", async () => {
    const world = await node({ cidr: "10.0.0.0/22", blockSize: 26 });
    const count = 600;
    for (let n = 0; n < count; n++) {
      addPod(world, `many${n}`);
      world.removeNamespace(`many${n}`);
    }
    await world.run("ipam check -o /tmp/r.json");
    const locks = world.machine.lockings;
    const { status, stdout } = await world.run("ipam release --from-report /tmp/r.json");
    expect({ status, last: stdout.trimEnd().split("\n").at(-1) }).toEqual({
      status: 0,
      last: `${count} of ${count} confirmed problems repaired`,
    });
    expect(world.machine.lockings - locks).toBe(3);
    expect((await world.run("ipam check")).status).toBe(0);
  });

  test("--from-report leaves alone what has come back", async () => {
    const { world, address } = await withLeak();
    world.addNamespace("a", [address]);
    expect(await world.run("ipam release --from-report /tmp/r.json")).toEqual({
      status: 0,
      stdout: "0 of 0 confirmed problems repaired\n",
      stderr: `tortie: left alone: leaked address ${address}: no longer confirmed\n`,
    });
  });

  test("of several reports only what is in all of them counts", async () => {
    const { world, address } = await withLeak();
    const other = addPod(world, "c");
    world.removeNamespace("c");
    await world.run("ipam check -o /tmp/later.json");
    const { stdout } = await world.run("ipam release --from-report /tmp/later.json --from-report /tmp/r.json");
    expect(stdout).toContain(`released ${address} `);
    expect(stdout).not.toContain(other);
  });

  test.each<[string, (report: ReportFile) => object, string]>([
    ["another node", (report) => ({ ...report, node: "node-2" }), 'it is from node "node-2", and this is "node-1"'],
    ["another store", (report) => ({ ...report, store: "x" }), "it is from another datastore"],
    ["another format", (report) => ({ ...report, version: 2 }), "it is not a report of tortie ipam check: version"],
    ["two hours ago", (report) => ({ ...report, takenAt: "2023-12-31T22:00:00Z" }), "it was taken 120 minutes ago"],
  ])("refuses a report of %s", async (_, change, reason) => {
    const { world } = await withLeak();
    const report = JSON.parse(world.sys.readFile("/tmp/r.json")) as ReportFile;
    world.write("/tmp/r.json", JSON.stringify(change(report)));
    const { status, stdout, stderr } = await world.run("ipam release --from-report /tmp/r.json");
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain(`tortie: cannot use report "/tmp/r.json": ${reason}`);
  });

  test("an old report is taken with --force, and repairs only what is so now", async () => {
    const { world, address } = await withLeak();
    const report = JSON.parse(world.sys.readFile("/tmp/r.json")) as ReportFile;
    world.write("/tmp/r.json", JSON.stringify({ ...report, takenAt: "2023-12-31T22:00:00Z" }));
    const { stdout } = await world.run("ipam release --force --from-report /tmp/r.json");
    expect(stdout).toContain(`released ${address} `);
  });

  test("--ip refuses an address in use, unless forced", async () => {
    const world = await node();
    const address = addPod(world, "a");
    expect(await world.run(`ipam release --ip ${address}`)).toEqual({
      status: 1,
      stdout: "",
      stderr: `tortie: cannot release ${address}: it is in use by default/a eth0: seen on eth0 in "/run/netns/a" (pass --force)\n`,
    });
    expect((await world.run(`ipam release --ip ${address} --force`)).stdout).toBe(
      `Successfully released IP address ${address}, of default/a eth0\n`,
    );
    expect(world.object("IPAMHandle", "net.a")).toBeUndefined();
  });

  test.each([
    ["--ip 10.0.0.5", 1, "cannot release 10.0.0.5: it is not assigned"],
    ["--ip ten", 2, 'cannot release "ten": it is not a valid IP address'],
    ["", 2, "cannot release: wanted either --ip or --from-report"],
    ["--from-report /tmp/none", 1, 'cannot use report "/tmp/none": '],
  ])("%s: refused with %i", async (args, status, reason) => {
    const outcome = await (await node()).run(`ipam release ${args}`);
    expect(outcome.status).toBe(status);
    expect(outcome.stderr).toContain(reason);
  });
});

describe("tortie ipam split", () => {
  test("makes equal parts, keeps blocks, and takes the old pool away", async () => {
    const world = await node();
    addPod(world, "a");
    const dry = await world.run("ipam split 2 --cidr 10.0.0.0/28 --dry-run");
    expect(dry.stdout).toContain('IPPool "split-p-1" 10.0.0.8/29 (dry run)\n');
    expect(await world.run("ipam split 2 --cidr 10.0.0.0/28")).toEqual({
      status: 0,
      stderr: "",
      stdout: `\
IPPool "split-p-0" 10.0.0.0/29
IPPool "split-p-1" 10.0.0.8/29
Successfully split pool 10.0.0.0/28 into 2
`,
    });
    expect((await world.run("get ippool")).stdout.split("\n").slice(1, 3)).toEqual([
      "split-p-0   10.0.0.0/29   all()      ",
      "split-p-1   10.0.0.8/29   all()      ",
    ]);
    expect(world.object("IPPool", "split-p-0")?.spec).toMatchObject({ blockSize: 30, disabled: false });
    expect((await world.run("ipam check")).status).toBe(0);
  });

  test("finishes what a process that was killed began", async () => {
    const world = await node();
    const steps = world.sys.steps;
    await world.run("ipam split 4 --name p");
    const all = world.sys.steps - steps;
    for (let step = 1; step <= all; step++) {
      const again = await node();
      again.sys.failAt(again.sys.steps + step, "EIO");
      await again.run("ipam split 4 --name p");
      if (again.object("IPPool", "p") !== undefined) await again.run("ipam split 4 --name p");
      const { stdout } = await again.run("get ippool -o wide");
      expect(stdout.match(/^split-p-\d +10\.0\.0\.\d+\/30 .* false +false/gm)).toHaveLength(4);
      expect(again.object("IPPool", "p")).toBeUndefined();
    }
  });

  test.each([
    ["3 --name p", 2, "cannot split into 3: wanted a power of 2"],
    ["2", 2, "cannot split: wanted either --cidr or --name"],
    ["8 --name p", 1, "a part of /31 is smaller than a block of /30"],
    ["2 --name none", 1, "cannot split pool none: there is none"],
  ])("%s: refused with %i", async (args, status, reason) => {
    const outcome = await (await node()).run(`ipam split ${args}`);
    expect(outcome.status).toBe(status);
    expect(outcome.stderr).toContain(reason);
  });
});

describe("tortie ipam configure", () => {
  test("changes what is named and keeps the rest", async () => {
    const world = await node();
    expect((await world.run("ipam configure --strictaffinity=true --max-blocks-per-host=3")).stdout).toBe(`\
Successfully set StrictAffinity to: true
Successfully set MaxBlocksPerHost to: 3
`);
    await world.run("ipam configure --ip-cooldown-seconds=30");
    expect(world.object("IPAMConfig", "default")?.spec).toEqual({
      strictAffinity: true,
      autoAllocateBlocks: true,
      maxBlocksPerHost: 3,
      ipCooldownSeconds: 30,
    });
  });

  test("--dry-run writes nothing", async () => {
    const world = await node();
    const { stdout } = await world.run("ipam configure --strictaffinity=true --dry-run");
    expect(stdout).toBe("Successfully set StrictAffinity to: true (dry run)\n");
    expect(world.object("IPAMConfig", "default")).toBeUndefined();
  });

  test.each([
    ["", 2, "cannot configure: wanted --strictaffinity"],
    ["--max-blocks-per-host=3", 1, "maxBlocksPerHost requires strictAffinity to be true"],
    ["--ip-cooldown-seconds=1201", 2, '--ip-cooldown-seconds takes a whole number from 0 to 1200, not "1201"'],
  ])("%s: refused with %i", async (args, status, reason) => {
    const outcome = await (await node()).run(`ipam configure ${args}`);
    expect(outcome.status).toBe(status);
    expect(outcome.stderr).toContain(reason);
  });
});

describe("tortie get workloadendpoint", () => {
  test("get lists the record; apply takes it back; delete spares a sandbox that is there", async () => {
    const world = await node();
    const address = addPod(world, "a");
    expect((await world.run("get wep")).stdout).toBe(`\
NAMESPACE   WORKLOAD   NODE     NETWORKS${" ".repeat(address.length - 2)}INTERFACE   
default     a          node-1   ${address}/32   calia       

`);
    const record = (await world.run("get wep node--1-k8s-a-eth0 -o yaml")).stdout;
    expect((await world.run("apply -f -", record)).stdout).toBe('WorkloadEndpoint "node--1-k8s-a-eth0" unchanged\n');
    expect((await world.run("delete wep node--1-k8s-a-eth0")).stderr).toBe(
      'tortie: cannot delete WorkloadEndpoint "node--1-k8s-a-eth0": its sandbox "/run/netns/a" is there (pass --force)\n',
    );
    world.removeNamespace("a");
    expect((await world.run("delete wep default/node--1-k8s-a-eth0 --dry-run")).status).toBe(0);
    expect((await world.run("delete wep default/node--1-k8s-a-eth0")).stdout).toContain(" deleted\n");
    expect((await world.run("get wep -o name")).stdout).toBe("");
    expect((await world.run("create -f -", record)).stdout).toContain(" created\n");
  });

  test("rejects a record with the address or interface of another attachment", async () => {
    const world = await node();
    addPod(world, "a");
    const record = (await world.run("get wep -o yaml")).stdout.replaceAll(/containerID: a$/gm, "containerID: b");
    expect((await world.run("apply -f -", record)).stderr).toContain('is that of container "a" eth0');
  });

  test.each(["Node", "Namespace"])("%s is kept for its labels", async (kind) => {
    const world = await node();
    const metadata = { name: "web", labels: { team: "blue" } };
    await world.run("apply -f -", JSON.stringify({ apiVersion: "v1", kind, metadata }));
    expect((await world.run(`get ${kind}`)).stdout).toBe("NAME   LABELS      \nweb    team=blue   \n\n");
  });
});

describe("tortie ipam: the command line", () => {
  test.each([
    ["doctr", 'cannot run "doctr": unknown command (did you mean "doctor"?); see "tortie --help"'],
    ["nonsense", 'cannot run "nonsense": unknown command; see "tortie --help"'],
    ["ipam chekc", 'cannot run "ipam chekc": unknown command (did you mean "ipam check"?)'],
    ["--node node-1", 'cannot run: no command; see "tortie --help"'],
    ["doctor now", 'cannot run doctor: "now" is a word too many'],
    ["ipam show --nonsense", "cannot run ipam show: unknown option --nonsense; see"],
    ["ipam show --show-block", 'unknown option --show-block (did you mean "--show-blocks"?)'],
    ["ipam show -x", "unknown option -x;"],
    ["ipam configure --no-strictafinity", 'unknown option --no-strictafinity (did you mean "--no-strictaffinity"?)'],
    ["apply -f x --dryRun", 'unknown option --dryRun (did you mean "--dry-run"?)'],
    ["ipam show --ip 10.0.0.1 --map", "--ip and --map cannot be combined"],
    ["apply", 'cannot run apply: wanted -f with a file of resources, as in "tortie apply -f pool.yaml"'],
    [
      "validate",
      'wanted -f with a file of resources, or with a network configuration, as in "tortie validate -f pool.yaml" or',
    ],
    ["--verison", 'cannot run: unknown option --verison (did you mean "--version"?); see "tortie --help"'],
    ["install --conf x", 'unknown option --conf (did you mean "--conf-dir" or "--conflist"?)'],
    ["apply pool.yaml", "cannot run apply: pass the file with -f: -f pool.yaml"],
    ["ipam show -o csv", '--output takes wide, yaml or json, not "csv"'],
    ["get ippool -o jsno", '--output takes ps, wide, yaml, json or name, not "jsno" (did you mean "json"?)'],
    ["get", "cannot run get: <kind> is missing: one of ippool, ipreservation"],
    ["get ipool", 'cannot use kind "ipool" (did you mean "ippool"?): wanted one of ippool'],
    ["get ippool/a ipamblock/b", 'cannot use "ipamblock/b" beside "ippool/a": wanted ippool/<name>'],
    ["ipam split two --name a", '<number> takes a number, not "two"'],
    ["ipam split 0x2 --name a", '<number> takes a number, not "0x2"'],
    ["ipam split --name a", "<number> is missing: number of parts, a power of 2"],
    ["ipam split 2 --name a --name b", '--name was given more than once: "a", "b"'],
    ["ipam split 2 --name", "--name takes a value, but none was given"],
    [
      "ipam configure --max-blocks-per-host=",
      "--max-blocks-per-host takes a whole number, 0 or more, but none was given",
    ],
    ["ipam configure --max-blocks-per-host=1.5", '--max-blocks-per-host takes a whole number, 0 or more, not "1.5"'],
    ["ipam configure --ip-cooldown-seconds=-1", '--ip-cooldown-seconds takes a whole number from 0 to 1200, not "-1"'],
    ["version --log-level loud", '--log-level takes debug, info, warn, error or silent, not "loud"'],
    ["version --run-dir=", "--run-dir takes a value, but none was given"],
  ])("tortie %s: a usage error", async (line, reason) => {
    const { status, stdout, stderr } = await new World().run(line);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(reason);
  });

  test.each(commands.map(({ path }) => path))(
    "tortie %s --help: what it is for, its options and examples",
    async (line) => {
      const { status, stdout, stderr } = await new World().run(`${line} --help`);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout).toMatch(new RegExp(`^tortie ${line}.*\\n\\n[A-Z]`));
      expect(stdout).toContain(`Examples:\n  tortie `);
      expect(stdout).toContain("--log-level");
      expect((await new World().run(`${line} -h`)).stdout).toBe(stdout);
      expect((await new World().run(`help ${line}`)).stdout).toBe(stdout);
    },
  );

  test.each([[[]], [["-h"]], [["--help"]], [["help"]]])("tortie %j: the commands", async (line) => {
    const { status, stdout, stderr } = await new World().run(line);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const { path } of commands) expect(stdout).toContain(`tortie ${path.split(" ")[0]}`);
  });

  test("tortie ipam: its commands", async () => {
    expect((await new World().run("ipam")).stdout).toContain("tortie ipam configure");
  });

  test.each(["-v", "-V", "--version"])("tortie %s: the version", async (flag) => {
    expect((await new World().run(flag)).stdout).toMatch(/^Client Version: /);
  });
});
