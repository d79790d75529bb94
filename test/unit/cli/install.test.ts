/** `tortie install` on files in memory: what it leaves alone, and the state after it is stopped at any step. */
import { describe, expect, test } from "vitest";
import { ownBuild } from "../../../src/cli/doctor/executables.ts";
import { ourNames } from "../../../src/cli/doctor/networks.ts";
import { writeEndpoint } from "../../../src/endpoint/endpoint.ts";
import { World } from "./world.ts";

const build = ownBuild;
const bin = "/opt/cni/bin";
const conflist = {
  name: "net",
  cniVersion: "1.0.0",
  plugins: [{ type: "calico", ipam: { type: "calico-ipam" } }, { type: "portmap" }],
};
const installed = "/etc/cni/net.d/10-net.conflist";

/** A machine with our executables next to the command, a configuration in /tmp, and the given files. */
function world(
  files: Readonly<Record<string, string>> = {},
  environment: Readonly<Record<string, string>> = {},
): World {
  const made = new World({ environment });
  made.write("/usr/lib/tortie/bin/calico", "ours, new");
  made.write("/tmp/10-net.conflist", JSON.stringify(conflist));
  for (const [path, text] of Object.entries(files)) made.write(path, text);
  for (const path of Object.keys(files)) {
    const node = made.sys.stat(path);
    if (path.startsWith(bin) && node !== undefined) made.machine.files.replace(path, files[path] ?? "", 0o755);
  }
  // An executable identifies itself by its text.
  made.anyProgram = (line) => {
    if (made.machine.files.read(line.split(" ").find((word) => word.startsWith("/")) ?? "") === "damaged") return "";
    if (line.startsWith("VERSION ")) return '{"supportedVersions":["1.0.0"]}';
    const [path = ""] = line.split(" ");
    if (!made.machine.files.read(path).startsWith("ours")) return "CNI portmap plugin v1.1.1\n";
    const release = made.machine.files.read(path) === "ours, old" ? "0.0.9, commit ba9876543210" : build;
    return `${path.slice(path.lastIndexOf("/") + 1)} ${release.replace(",", " (Tortie),")}, engine x\n`;
  };
  made.machine.files.replace("/usr/lib/tortie/bin/calico", "ours, new", 0o755);
  return made;
}

const foreignPortmap = { [`${bin}/portmap`]: "Go" };
const oldOnes = Object.fromEntries(ourNames.map((name) => [`${bin}/${name}`, "ours, old"]));

function inodes({ machine }: World): ReadonlySet<number | undefined> {
  return new Set(ourNames.map((name) => machine.files.stat(`${bin}/${name}`)?.inode));
}

function filesBelow({ machine }: World, directory: string): readonly string[] {
  return machine.files.paths().filter((path) => path.startsWith(`${directory}/`));
}

describe("tortie install", () => {
  test("links one file under all names, and writes the configuration", async () => {
    const one = world();
    expect(await one.run("install --conflist /tmp/10-net.conflist")).toEqual({
      status: 0,
      stdout: `${ourNames.map((name) => `${bin}/${name} installed (${build})\n`).join("")}${installed} written\n`,
      stderr: "",
    });
    expect(inodes(one).size).toBe(1);
    expect(filesBelow(one, bin)).toEqual(ourNames.map((name) => `${bin}/${name}`).sort());
    expect(one.machine.files.stat(`${bin}/calico`)?.mode).toBe(0o755);
    expect(one.machine.files.read(installed)).toBe(JSON.stringify(conflist));
  });

  test("is idempotent", async () => {
    const one = world();
    await one.run("install --conflist /tmp/10-net.conflist");
    const before = [one.machine.files.print(), ...inodes(one)];
    const { stdout } = await one.run("install --conflist /tmp/10-net.conflist");
    expect(stdout).toBe(
      `${ourNames.map((name) => `${bin}/${name} unchanged (${build})\n`).join("")}${installed} unchanged\n`,
    );
    expect([one.machine.files.print(), ...inodes(one)]).toEqual(before);
  });

  test("upgrades, and makes one file of copies", async () => {
    const upgraded = world(oldOnes);
    expect((await upgraded.run("install")).stdout).toContain(
      `/calico replaced (0.0.9, commit ba9876543210 by ${build})\n`,
    );
    const copies = world(Object.fromEntries(ourNames.map((name) => [`${bin}/${name}`, "ours, new"])));
    expect(inodes(copies).size).toBe(ourNames.length);
    expect((await copies.run("install")).stdout).toContain(`/calico linked again (${build})\n`);
    for (const one of [upgraded, copies]) expect(inodes(one).size).toBe(1);
  });

  test("replaces no plugin of another's, and says which", async () => {
    const one = world(foreignPortmap);
    const before = one.machine.files.print();
    expect(await one.run("install")).toEqual({
      status: 1,
      stdout: "",
      stderr:
        'tortie: cannot install in "/opt/cni/bin": portmap there is a foreign plugin; pass --keep to leave it and install the rest, or --force to replace\n',
    });
    expect(one.machine.files.print()).toBe(before);
    expect((await one.run("install --keep")).stdout).toContain("/opt/cni/bin/portmap left alone: it is foreign\n");
    expect(one.machine.files.read(`${bin}/portmap`)).toBe("Go");
    expect(one.machine.files.read(`${bin}/bandwidth`)).toBe("ours, new");
    expect((await one.run("install --force")).stdout).toContain(
      `/opt/cni/bin/portmap replaced (a foreign file by ${build})\n`,
    );
    expect(inodes(one).size).toBe(1);
  });

  test("files that do not answer may be anybody's: only --force replaces them", async () => {
    const one = world(Object.fromEntries(ourNames.map((name) => [`${bin}/${name}`, "damaged"])));
    const { status, stderr } = await one.run("install");
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr:
        'tortie: cannot install in "/opt/cni/bin": calico, ptp, calico-ipam, bandwidth, portmap and loopback there do not answer: damaged, or no plugin; ' +
        "pass --force to replace them\n",
    });
    expect((await one.run("install --force")).status).toBe(0);
  });

  test("says which other configuration has the network's name", async () => {
    const one = world({ "/etc/cni/net.d/20-net.conflist": JSON.stringify(conflist) });
    expect((await one.run("install --conflist /tmp/10-net.conflist")).stderr).toContain(
      'tortie: "/etc/cni/net.d/20-net.conflist" has the same network name: give one another name, or remove it\n',
    );
  });

  test("--keep does not keep a calico of another's: there would be nothing to install", async () => {
    expect(await world({ [`${bin}/calico`]: "Go" }).run("install --keep")).toMatchObject({ status: 1, stdout: "" });
  });

  test("leaves a configuration alone that was changed, unless forced", async () => {
    const one = world({ [installed]: "{}" });
    const { status, stderr } = await one.run("install --conflist /tmp/10-net.conflist");
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `tortie: cannot install "${installed}": it exists with different content; pass --force to replace it\n`,
    });
    expect(filesBelow(one, bin)).toEqual([]);
    await one.run("install --force --conflist /tmp/10-net.conflist");
    expect(one.machine.files.read(installed)).toBe(JSON.stringify(conflist));
  });

  test.each([
    ["--from /nowhere", 'cannot install "/nowhere/calico": no such file\n'],
    ["--conflist /tmp/none.conflist", 'cannot install "/tmp/none.conflist": open /tmp/none.conflist: '],
    ["--conflist /tmp/broken.conflist", 'cannot install "/tmp/broken.conflist": "name" is missing'],
    ["--conflist /usr/lib/tortie/bin/calico", "runtimes read only *.conflist, *.conf and *.json"],
  ])("%s: refused before anything is changed", async (options, reason) => {
    const one = world({ "/tmp/broken.conflist": "{}" });
    const { status, stderr } = await one.run(`install ${options}`);
    expect(status).toBe(1);
    expect(stderr).toContain(reason);
    expect(filesBelow(one, bin)).toEqual([]);
  });

  test("says that the directory of the executables is to be named when none is beside the command", async () => {
    const one = world();
    one.sys.removeFile("/usr/lib/tortie/bin/calico");
    expect(await one.run("install")).toEqual({
      status: 1,
      stdout: "",
      stderr:
        "tortie: cannot install: the plugins are not in the directory of this command, /usr/lib/tortie/bin, /usr/lib/tortie or /opt/cni/bin; " +
        "pass --from with their directory, dist/bin after a build\n",
    });
  });

  test("finds the executables in the directory of the command itself, as an archive unpacks", async () => {
    const one = world();
    one.sys.removeFile("/usr/lib/tortie/bin/calico");
    one.machine.files.create("/usr/lib/tortie/calico", "ours, new", 0o755);
    expect((await one.run("install")).status).toBe(0);
    expect(one.machine.files.read(`${bin}/portmap`)).toBe("ours, new");
  });

  test("links names that an installation has lost to the one that is there, though nothing is beside the command", async () => {
    const one = world();
    await one.run("install");
    one.sys.removeFile("/usr/lib/tortie/bin/calico");
    one.sys.removeFile(`${bin}/portmap`);
    expect((await one.run("install")).stdout).toContain(`${bin}/portmap installed (${build})\n`);
    expect(inodes(one).size).toBe(1);
  });

  test("is no upgrade where only an old installation is there", async () => {
    const one = world(oldOnes);
    one.sys.removeFile("/usr/lib/tortie/bin/calico");
    const { status, stderr } = await one.run("install");
    expect(status).toBe(1);
    expect(stderr).toMatch(/"\/opt\/cni\/bin\/calico": it is 0\.0\.9, .* and this command is .*; pass --from /);
  });

  test("installs no configuration that the plugins would refuse or misunderstand, unless forced", async () => {
    const cluster = { ...conflist, plugins: [{ ...conflist.plugins[0], mttu: 1400, policy: { type: "k8s" } }] };
    const one = world({ "/tmp/20-cluster.conflist": JSON.stringify(cluster) });
    const { status, stderr } = await one.run("install --conflist /tmp/20-cluster.conflist");
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /plugins\[0\]: cannot use key "policy.type".*; plugins\[0\].mttu: .*; change it, or pass --force\n$/,
    );
    expect(filesBelow(one, bin)).toEqual([]);
    expect((await one.run("install --force --conflist /tmp/20-cluster.conflist")).status).toBe(0);
  });

  test("warns of a configuration that comes first, and of a plugin that is not there", async () => {
    const one = world({
      "/etc/cni/net.d/05-other.conflist": "{}",
      "/tmp/10-net.conflist": JSON.stringify({ ...conflist, plugins: [conflist.plugins[0], { type: "tuning" }] }),
    });
    const { stderr } = await one.run("install --conflist /tmp/10-net.conflist");
    expect(stderr).toContain('names the plugin "tuning", which is not in "/opt/cni/bin"');
    expect(stderr).toContain('the first file in alphabetical order, which is "/etc/cni/net.d/05-other.conflist"');
  });

  test("warns when the node's network is another from now on", async () => {
    const one = world({ "/etc/cni/net.d/20-other.conflist": "{}", "/tmp/10-net.conflist": JSON.stringify(conflist) });
    const { status, stderr } = await one.run("install --conflist /tmp/10-net.conflist");
    expect(stderr).toContain(
      '"/etc/cni/net.d/10-net.conflist" from now on, no longer "/etc/cni/net.d/20-other.conflist"',
    );
    expect((await one.run("install --conflist /tmp/10-net.conflist")).stderr).toBe("");
    expect(status).toBe(0);
  });
});

describe("tortie install --conflist beside a plugin that is kept", () => {
  const versions = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];
  const text = JSON.stringify({ cniVersions: versions, ...conflist }, undefined, 2);

  /** The kept portmap is older than the rest. */
  function beside(file: string): World {
    const one = world({ ...foreignPortmap, "/tmp/10-net.conflist": file });
    const other = one.anyProgram as (line: string) => string;
    one.anyProgram = (line) =>
      line.startsWith("VERSION ")
        ? JSON.stringify({ supportedVersions: line.includes("portmap") ? versions.slice(0, 3) : versions })
        : other(line);
    return one;
  }

  test("offers the versions that all plugins of the chain speak, and says who does not speak the others", async () => {
    const one = beside(text);
    const { status, stdout, stderr } = await one.run("install --keep --conflist /tmp/10-net.conflist");
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: `tortie: "${installed}" offers 0.3.1, 0.4.0 and 1.0.0, and not 1.1.0: "${bin}/portmap" does not speak it\n`,
    });
    expect(one.machine.files.read(installed)).toBe(text.replace(/,\s*"1\.1\.0"/, ""));
    const again = await one.run("install --keep --conflist /tmp/10-net.conflist");
    expect(again.stdout).toBe(stdout.replace(/written|installed/g, "unchanged"));
  });

  test("offers all where it replaces the plugin", async () => {
    const one = beside(text);
    expect((await one.run("install --force --conflist /tmp/10-net.conflist")).stderr).toBe("");
    expect(one.machine.files.read(installed)).toBe(text);
  });

  test("warns by name where the file offers one version alone", async () => {
    const alone = JSON.stringify({ ...conflist, cniVersion: "1.1.0" });
    const one = beside(alone);
    expect((await one.run("install --keep --conflist /tmp/10-net.conflist")).stderr).toBe(
      `tortie: "${installed}" offers version 1.1.0: "${bin}/portmap" does not speak it, so ADD would fail\n`,
    );
    expect(one.machine.files.read(installed)).toBe(alone);
  });

  test.each([
    ["in one line", '"cniVersions":["1.0.0","1.1.0"]', '"cniVersions":["1.0.0"]'],
    ["with spaces", '"cniVersions" : [ "0.4.0", "1.0.0", "1.1.0" ]', '"cniVersions" : [ "0.4.0", "1.0.0" ]'],
  ])("keeps the file's layout: %s", async (_, before, after) => {
    const file = JSON.stringify(conflist).replace("{", () => `{${before},`);
    const one = beside(file);
    await one.run("install --keep --conflist /tmp/10-net.conflist");
    expect(one.machine.files.read(installed)).toBe(file.replace(before, after));
  });
});

describe("tortie install --uninstall", () => {
  test("takes away what install made, configuration first, and nothing else", async () => {
    const one = world({
      [`${bin}/tuning`]: "Go",
      "/etc/cni/net.d/87-podman.conflist": JSON.stringify({
        ...conflist,
        plugins: [{ type: "bridge" }, { type: "portmap" }],
      }),
    });
    const before = one.machine.files.print();
    await one.run("install --conflist /tmp/10-net.conflist");
    const removed: string[] = [];
    one.beforeStep = (call) => void removed.push(`${call} ${one.machine.files.paths().includes(installed)}`);
    const { status, stdout, stderr } = await one.run("install --uninstall");
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: `${installed} removed\n${ourNames.map((name) => `${bin}/${name} removed\n`).join("")}`,
    });
    expect(removed.slice(0, 2)).toEqual(["removeFile true", "removeFile false"]);
    expect(stderr).toContain(
      '"/etc/cni/net.d/87-podman.conflist" names portmap, of which "/opt/cni/bin" has none any more',
    );
    expect(stderr).not.toContain("kept");
    expect(one.machine.files.print().replace("/etc/cni/net.d/\n", "")).toBe(before);
    expect((await one.run("install --uninstall")).stdout).toContain("no file of Tortie is in");
  });

  test("says what stays: state, the log, and forwarding that pods needed", async () => {
    const logging = {
      ...conflist,
      plugins: [{ ...conflist.plugins[0], log_file_path: "/var/log/calico/cni/cni.log" }],
    };
    const one = world({
      "/run/tortie/ipam.lock": "",
      "/var/lib/tortie/ippools/pods.json": "{}",
      "/var/log/calico/cni/cni.log": "{}",
      "/tmp/10-net.conflist": JSON.stringify(logging),
    });
    one.sys.writeFile("/proc/sys/net/ipv4/ip_forward", "1");
    await one.run("install --conflist /tmp/10-net.conflist");
    const rehearsed = (await one.run("install --uninstall --dry-run")).stderr;
    const { stderr } = await one.run("install --uninstall");
    expect(stderr).toBe(
      "tortie: kept: /run/tortie (until the next boot), /var/lib/tortie (pools and settings), /var/log/calico/cni/cni.log (the log) " +
        "and net.ipv4.ip_forward = 1 (pods needed it, others may)\n",
    );
    expect(rehearsed).toBe(stderr);
  });

  test("leaves another's plugins and their configuration", async () => {
    const files = { [`${bin}/calico`]: "Go", ...foreignPortmap, [installed]: JSON.stringify(conflist) };
    const one = world(files);
    const before = one.machine.files.print();
    expect((await one.run("install --uninstall --force")).stdout).toContain(
      "/opt/cni/bin/calico left alone: it is foreign\n",
    );
    expect(one.machine.files.print()).toBe(before);
  });

  test("is refused while attachments are left, and says whose", async () => {
    const one = world();
    await one.run("install --conflist /tmp/10-net.conflist");
    writeEndpoint(one.sys, {
      attachment: { network: "net", containerId: "web-0a", ifname: "eth0" },
      pod: { namespace: "default", name: "web" },
      node: "node-a",
      hostInterface: "cali0123456789a",
      addresses: ["10.0.0.1/32"],
      mac: "ee:ee:ee:ee:ee:ee",
      netns: "/run/netns/web",
    } as never);
    const before = one.machine.files.print();
    const { status, stderr } = await one.run("install --uninstall");
    expect(status).toBe(1);
    expect(stderr).toContain("cannot uninstall: an attachment is left, of default/web; end the pods");
    expect(one.machine.files.print()).toBe(before);
    expect((await one.run("install --uninstall --force")).status).toBe(0);
    expect(filesBelow(one, bin)).toEqual([]);
  });
});

class Killed extends Error {}

/** Runs a line whose process dies before its step k; returns whether it died. */
async function runKilled(one: World, line: string, killedAt: number, look: () => void): Promise<boolean> {
  let steps = 0;
  one.beforeStep = () => {
    steps++;
    // A dead process does nothing more, not even clean up.
    if (steps >= killedAt) throw new Killed("killed");
    look();
  };
  await one.run(line);
  one.beforeStep = undefined;
  look();
  return steps >= killedAt;
}

describe.each([
  ["install", "install --conflist /tmp/10-net.conflist", {}],
  ["upgrade", "install --conflist /tmp/10-net.conflist", oldOnes],
  ["force", "install --force --conflist /tmp/10-net.conflist", { ...foreignPortmap, [installed]: "{}" }],
] as const)("%s, killed at any step", (_, line, files) => {
  test("a name is the old file or the new one, the configuration comes last, and the next one completes it", async () => {
    for (let killedAt = 1; ; killedAt++) {
      const one = world(files);
      const before = new Map(ourNames.map((name) => [name, files[`${bin}/${name}` as never] as string | undefined]));
      const look = () => {
        const now = ourNames.map(
          (name) => one.machine.files.stat(`${bin}/${name}`) && one.machine.files.read(`${bin}/${name}`),
        );
        for (const [index, name] of ourNames.entries()) expect([before.get(name), "ours, new"]).toContain(now[index]);
        const isWritten = one.machine.files.stat(installed) !== undefined && one.machine.files.read(installed) !== "{}";
        if (isWritten) expect(new Set(now)).toEqual(new Set(["ours, new"]));
      };
      const died = await runKilled(one, line, killedAt, look);
      expect((await one.run(line)).status).toBe(0);
      expect(inodes(one).size).toBe(1);
      expect(filesBelow(one, bin)).toHaveLength(ourNames.length);
      expect(one.machine.files.read(installed)).toBe(JSON.stringify(conflist));
      if (!died) return;
      expect(killedAt).toBeLessThan(40);
    }
  });
});

test("tortie install --uninstall, killed at any step: the configuration goes before the plugins, and a repetition completes it", async () => {
  for (let killedAt = 1; ; killedAt++) {
    const one = world();
    await one.run("install --conflist /tmp/10-net.conflist");
    const died = await runKilled(one, "install --uninstall", killedAt, () => {
      const all = ourNames.every((name) => one.machine.files.stat(`${bin}/${name}`) !== undefined);
      if (!all) expect(one.machine.files.stat(installed)).toBeUndefined();
    });
    expect((await one.run("install --uninstall")).status).toBe(0);
    expect([...filesBelow(one, bin), ...filesBelow(one, "/etc/cni/net.d")]).toEqual([]);
    if (!died) return;
    expect(killedAt).toBeLessThan(40);
  }
});

describe("tortie install in the environment of Calico's installer", () => {
  const network = `{
    "name": "k8s-pod-network", "cniVersion": "1.0.0",
    "plugins": [{
      "type": "calico", "log_level": "__LOG_LEVEL__", "mtu": __CNI_MTU__, "nodename": "__KUBERNETES_NODE_NAME__",
      "datastore_type": "__DATASTORE_TYPE__", "kubernetes": { "kubeconfig": "__KUBECONFIG_FILEPATH__" },
      "policy": { "type": "k8s" }, "ipam": { "type": "calico-ipam" }
    }]
  }`;
  const inDirectory = "--conf-dir /host/etc/cni/net.d";

  test("writes the configuration with the values that the words stand for", async () => {
    const environment = { CNI_NETWORK_CONFIG: network, CNI_NET_DIR: "/etc/cni/net.d", CNI_MTU: "1440", LOG_LEVEL: "" };
    const one = world({}, { ...environment, KUBERNETES_NODE_NAME: "node-7" });
    const { status, stdout, stderr } = await one.run(`install ${inDirectory}`);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("/host/etc/cni/net.d/10-calico.conflist written\n");
    const [plugin] = JSON.parse(one.machine.files.read("/host/etc/cni/net.d/10-calico.conflist")).plugins;
    expect(plugin).toMatchObject({
      ...{ log_level: "info", mtu: 1440, nodename: "node-7", datastore_type: "kubernetes" },
      kubernetes: { kubeconfig: "/etc/cni/net.d/calico-kubeconfig" },
    });
  });

  test("takes the file before the text, and the option before both, under the name that CNI_CONF_NAME says", async () => {
    const environment = {
      CNI_NETWORK_CONFIG: "nonsense",
      CNI_NETWORK_CONFIG_FILE: "/tmp/network",
      CNI_CONF_NAME: "05-a.conflist",
    };
    const written = async (options: string) => {
      const one = world({ "/tmp/network": network }, environment);
      expect((await one.run(`install ${options}`)).stderr).toBe("");
      return JSON.parse(one.machine.files.read("/etc/cni/net.d/05-a.conflist")).name;
    };
    expect(await written("")).toBe("k8s-pod-network");
    expect(await written("--conflist /tmp/10-net.conflist")).toBe("net");
  });

  test("removes the configuration of the former name, but only with --force", async () => {
    const old = "/etc/cni/net.d/10-calico.conflist";
    const environment = { CNI_NETWORK_CONFIG: network, CNI_CONF_NAME: "20-tortie.conflist" };
    const one = world({ [old]: network }, environment);
    expect((await one.run("install")).stderr).toContain(
      `runtimes use the first file in alphabetical order, which is "${old}"`,
    );
    expect((await one.run("install --force --dry-run")).stdout).toContain(`${old} removed (dry run)\n`);
    expect(filesBelow(one, "/etc/cni/net.d")).toContain(old);
    expect((await one.run("install --force")).stdout).toContain(`${old} removed\n`);
    expect(filesBelow(one, "/etc/cni/net.d")).toEqual(["/etc/cni/net.d/20-tortie.conflist"]);
  });

  test.each([
    [
      { CNI_NETWORK_CONFIG: "__CNI_MTUU__" },
      'cannot replace __CNI_MTUU__ in CNI_NETWORK_CONFIG: it stands for nothing (did you mean "__CNI_MTU__"?)',
    ],
    [
      { CNI_NETWORK_CONFIG: "__SERVICEACCOUNT_TOKEN__" },
      "cannot replace __SERVICEACCOUNT_TOKEN__ in CNI_NETWORK_CONFIG: no token",
    ],
    [{ CNI_NETWORK_CONFIG: "{" }, "cannot install CNI_NETWORK_CONFIG: it is not JSON"],
    [{ CNI_NETWORK_CONFIG_FILE: "/tmp/none" }, 'cannot install "/tmp/none": '],
    [
      { CNI_NETWORK_CONFIG: network, CNI_CONF_NAME: "../10.conflist" },
      'cannot install "../10.conflist": runtimes read only',
    ],
  ])("changes nothing for %j", async (environment, message) => {
    const one = world({}, environment);
    const before = one.machine.files.print();
    const { status, stderr } = await one.run("install");
    expect([status, stderr]).toEqual([1, expect.stringContaining(message)]);
    expect(one.machine.files.print()).toBe(before);
  });
});
