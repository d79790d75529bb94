/**
 * Hostile input and a hostile environment, with the built executables: whatever a runtime, a configuration, another user of the node or a full
 * disk does, a plugin answers with one CNI error (or succeeds), and the node is unchanged.
 */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { leaks } from "../lib/node/kept.ts";
import { type Completed, Node } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { isSanitized, ourPluginDir, requireBuild } from "../lib/suite.ts";

const usual = { cniVersion: "1.1.0", name: "net", type: "calico", ipam: { type: "calico-ipam" } };

let node: Node;
let before: string;
/** A node on which another process holds the lock, and an ADD that waits for it while the other tests run. */
let lockedNode: Node;
let lockedBefore: string;
let waiting: Promise<Completed>;

beforeAll(async () => {
  requireBuild();
  lockedNode = await Node.start();
  waiting = waitForStranger();
  node = await Node.start();
  node.addPod("pod");
  // Objects that the node keeps intentionally must exist before any comparison.
  expect(call("ADD").status).toBe(0);
  expect(call("DEL").status).toBe(0);
});

afterAll(async () => {
  await node?.stop();
  await lockedNode?.stop();
});

beforeEach(async () => {
  before = snapshot(node);
  // Let the test runner communicate between tests that wait for a child process; it gives up the file after a minute of silence.
  await new Promise((resolve) => setTimeout(resolve, 10));
});

afterEach(() => {
  expect(leaks(diff(before, snapshot(node)))).toEqual([]);
});

interface Circumstances {
  readonly plugin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** A shell command that runs the plugin as "$@". */
  readonly shell?: string;
}

function call(
  command: string,
  { plugin = "calico", env = {}, stdin = JSON.stringify(usual), shell }: Circumstances = {},
): Completed {
  const path = join(ourPluginDir, plugin);
  return node.run(shell === undefined ? [path] : ["/bin/bash", "-c", shell, "bash", path], {
    env: { ...environmentOf(command), ...env },
    stdin,
    timeoutMs: 110_000,
  });
}

/** Takes as long as a plugin waits for a lock. */
function waitForStranger(): Promise<Completed> {
  lockedNode.addPod("pod");
  const calico = join(ourPluginDir, "calico");
  for (const command of ["ADD", "DEL"]) {
    const options = { env: environmentOf(command), stdin: JSON.stringify(usual) };
    expect(lockedNode.run([calico], options).status).toBe(0);
  }
  lockedNode.start(["/usr/bin/flock", "/run/tortie/ipam.lock", "/bin/sleep", "1000"]);
  lockedNode.sh("until grep -q FLOCK /proc/locks; do sleep 0.05; done");
  lockedBefore = snapshot(lockedNode);
  const options = { env: environmentOf("ADD"), stdin: JSON.stringify(usual), timeoutMs: 110_000 };
  return lockedNode.runBeside([calico], options);
}

function environmentOf(command: string): Readonly<Record<string, string>> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: "c1",
    CNI_NETNS: "/run/netns/pod",
    CNI_IFNAME: "eth0",
    CNI_PATH: ourPluginDir,
  };
}

interface CniAnswer {
  readonly code: number;
  readonly msg: string;
}

/** The error object of an expected failure. */
function errorOf({ status, signal, stdout }: Completed): CniAnswer {
  expect({ status, signal }).toEqual({ status: 1, signal: undefined });
  const answer = JSON.parse(stdout) as CniAnswer;
  expect(answer).toMatchObject({ code: expect.any(Number), msg: expect.stringMatching(/./) });
  expect(answer.code).not.toBe(999);
  return answer;
}

/** A successful ADD, followed by DEL. */
function addAndDelete(circumstances: Circumstances = {}): Completed {
  const added = call("ADD", circumstances);
  expect(added).toMatchObject({ status: 0 });
  expect(call("DEL", circumstances)).toMatchObject({ status: 0, stdout: "" });
  return added;
}

describe("a name that leads elsewhere, injects or overflows", () => {
  const bad = ["../../../etc/cron.d/x", "..", "a/b", "a b", "a;reboot", "$(reboot)", "a\nb", "-rf", "é", '"', "%2e%2e"];

  test.each(bad)("as container ID, %j, is refused with code 4 by ADD, DEL and CHECK", (name) => {
    for (const command of ["ADD", "DEL", "CHECK"]) {
      expect(errorOf(call(command, { env: { CNI_CONTAINERID: name } })).code).toBe(4);
    }
  });

  test.each(bad)("as network name, %j, is refused with code 7 by ADD and DEL", (name) => {
    for (const command of ["ADD", "DEL"]) {
      expect(errorOf(call(command, { stdin: JSON.stringify({ ...usual, name }) })).code).toBe(7);
    }
  });

  test.each(["../eth0", "a/b", "..", ".", "a b", "a\tb", "a:b", "sixteen-bytes-xx", "éééééééé", "a\nb"])(
    "as interface name, %j, is refused with code 4",
    (name) => {
      for (const command of ["ADD", "DEL"]) expect(errorOf(call(command, { env: { CNI_IFNAME: name } })).code).toBe(4);
    },
  );

  test("that is not UTF-8 is refused with code 4", () => {
    for (const variable of ["CNI_CONTAINERID", "CNI_IFNAME"]) {
      expect(errorOf(call("ADD", { shell: `export ${variable}=$'a\\xff\\xfe'; exec "$@"` })).code).toBe(4);
    }
    expect(errorOf(call("ADD", { shell: `export CNI_NETNS=$'/run/netns/\\xff'; exec "$@"` })).code).toBe(3);
  });

  test("of thousands of bytes is taken as container ID, and leaves nothing after DEL", () => {
    for (const length of [250, 4000]) addAndDelete({ env: { CNI_CONTAINERID: "x".repeat(length) } });
  });

  test.each(["../../bin/sh", "/bin/sh", "..", "", "calico-ipam\u0000x"])(
    "as IPAM plugin, %j, is refused with code 7",
    (type) => {
      expect(errorOf(call("ADD", { stdin: JSON.stringify({ ...usual, ipam: { type } }) })).code).toBe(7);
    },
  );
});

describe("a sandbox path", () => {
  test.each([
    ["/etc/passwd", 4],
    ["/proc/self/ns/pid", 4],
    ["/run/netns", 4],
    ["/dev/zero", 4],
    ["/run/netns/../../proc/self/ns/net", 8],
    ["/run/netns/none", 3],
    ["/run/netns/pod/x", 3],
    [`/${"x".repeat(5000)}`, 5],
  ])("%s is refused with code %i", (path, code) => {
    expect(errorOf(call("ADD", { env: { CNI_NETNS: path } })).code).toBe(code);
  });

  test("that is a FIFO is refused and not waited for", () => {
    node.sh("mkfifo /run/fifo");
    expect(errorOf(call("ADD", { env: { CNI_NETNS: "/run/fifo" } })).code).toBe(4);
    node.sh("rm /run/fifo");
  });
});

describe("a document", () => {
  test.each([
    ["is empty", ""],
    ["is cut", '{"cniVersion":"1.1.0","name":'],
    ["is a list", "[]"],
    ["has something behind it", `${JSON.stringify(usual)} x`],
    ["has a byte order mark", `\ufeff${JSON.stringify(usual)}`],
    ["is a hundred thousand lists deep", `{"a":${"[".repeat(100_000)}`],
    ["is a hundred thousand objects deep", '{"a":'.repeat(100_000)],
    ["has a number with a leading zero", '{"cniVersion":"1.1.0","name":"net","type":"calico","mtu":-01}'],
  ])("that %s is refused with code 6", (_, stdin) => {
    expect(errorOf(call("ADD", { stdin })).code).toBe(6);
  });

  test("of 10 MB is read, and keys that nobody knows are no error", () => {
    addAndDelete({ stdin: JSON.stringify({ ...usual, padding: "x".repeat(10 << 20) }) });
  });

  test("of 10 MB of keys is read", () => {
    const more = Object.fromEntries(Array.from({ length: 400_000 }, (_, n) => [`key-of-nobody-${n}`, n]));
    addAndDelete({ stdin: JSON.stringify({ ...usual, more }) });
  });

  test("of more than 16 MiB is refused with code 5", () => {
    expect(errorOf(call("ADD", { stdin: JSON.stringify({ ...usual, padding: "x".repeat(17 << 20) }) })).code).toBe(5);
  });

  test("that is not UTF-8 is refused, or read with U+FFFD in its place", () => {
    const refused = call("ADD", { shell: `printf '{"cniVersion":"1.1.0","name":"a\\xff","type":"calico"}' | "$@"` });
    expect(errorOf(refused).code).toBe(7);
    const stdin = JSON.stringify({ ...usual, args: { cni: { label: "X" } } });
    expect(call("ADD", { stdin, shell: `sed 's/X/\\xff/' | "$@"` }).status).toBe(0);
    expect(call("DEL", { stdin }).status).toBe(0);
  });

  test.each([9_007_199_254_740_993n, 2n ** 64n, -1n])("with the MTU %i is refused with code 7", (mtu) => {
    const stdin = JSON.stringify(usual).replace("{", `{"mtu":${mtu},`);
    expect(errorOf(call("ADD", { stdin })).code).toBe(7);
  });

  test("with a key twice means the last of them", () => {
    const stdin = JSON.stringify(usual).replace("{", '{"mtu":"x","mtu":1400,');
    const { interfaces } = JSON.parse(addAndDelete({ stdin }).stdout) as {
      readonly interfaces: readonly { readonly mtu: number }[];
    };
    expect(interfaces[1]?.mtu).toBe(1400);
  });

  test("with __proto__, constructor and toString as keys is a document like any other", () => {
    const stdin = JSON.stringify(usual).replace("{", '{"__proto__":{"mtu":1},"constructor":1,"toString":2,');
    addAndDelete({ stdin });
  });

  test("whose names are lone surrogates is answered", () => {
    const pools = { ...usual, ipam: { type: "calico-ipam", ipv4_pools: ["\ud800"] }, nodename: "\udfff" };
    errorOf(call("ADD", { stdin: JSON.stringify(pools) }));
  });
});

describe("another plugin's result", () => {
  const routes = Array.from({ length: 10_000 }, (_, n) => ({
    dst: `10.${100 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}/32`,
  }));
  const directory = "/run/.node/plugins";

  /** An IPAM plugin that prints a text. */
  function ipam(text: string): Circumstances {
    node.sh(`mkdir -p ${directory}`);
    const path = node.outerPath(`${directory}/fake-ipam`);
    writeFileSync(`${path}.json`, text);
    writeFileSync(path, `#!/bin/sh\n[ "$CNI_COMMAND" = ADD ] && exec /bin/cat ${directory}/fake-ipam.json\nexit 0\n`);
    chmodSync(path, 0o755);
    return {
      stdin: JSON.stringify({ ...usual, ipam: { type: "fake-ipam" } }),
      env: { CNI_PATH: `${ourPluginDir}:${directory}` },
    };
  }

  test("with 10,000 routes is carried out", () => {
    const circumstances = ipam(JSON.stringify({ cniVersion: "1.1.0", ips: [{ address: "10.99.0.1/32" }], routes }));
    expect(call("ADD", circumstances).status).toBe(0);
    expect(node.sh("ip route show | grep -c '^10.100'", { in: "pod" }).trim()).toBe("10000");
    expect(call("DEL", circumstances)).toMatchObject({ status: 0, stdout: "" });
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "Segmentation fault"],
    ["a list", "[]"],
    ["addresses that are none", '{"cniVersion":"1.1.0","ips":[{"address":"999.1.1.1/33"}]}'],
    ["an interface that is not there", '{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.1/32","interface":99}]}'],
    ["a thousand lists in each other", `{"cniVersion":"1.1.0","ips":${"[".repeat(1000)}`],
    ["a version of tomorrow", '{"cniVersion":"9.0.0","ips":[]}'],
  ])("that is %s is an error or an address, and leaves nothing", (_, text) => {
    const circumstances = ipam(text);
    const added = call("ADD", circumstances);
    if (added.status !== 0) errorOf(added);
    expect(call("DEL", circumstances)).toMatchObject({ status: 0, stdout: "" });
  });

  test("of megabytes without an end is cut off", () => {
    const circumstances = ipam("");
    writeFileSync(
      node.outerPath(`${directory}/fake-ipam`),
      '#!/bin/sh\n[ "$CNI_COMMAND" = ADD ] && exec /usr/bin/yes\nexit 0\n',
    );
    expect(errorOf(call("ADD", circumstances)).msg).toContain("cannot run");
  });
});

describe("a symbolic link that a stranger planted", () => {
  test.each(["/run/tortie", "/var/lib/tortie"])("in the place of the directory %s is not followed", (path) => {
    node.sh(`mkdir /run/.node/elsewhere; mv ${path} /run/.node/kept; ln -s /run/.node/elsewhere ${path}`);
    try {
      expect(errorOf(call("ADD"))).toMatchObject({ code: 103, msg: expect.stringContaining("symbolic link") });
      expect(node.sh("ls /run/.node/elsewhere")).toBe("");
    } finally {
      node.sh(`rm ${path}; mv /run/.node/kept ${path}; rm -r /run/.node/elsewhere`);
    }
  });

  test("in the place of a lock file is not followed", () => {
    node.sh("echo mine >/run/.node/victim; rm -f /run/tortie/ipam.lock; ln -s /run/.node/victim /run/tortie/ipam.lock");
    try {
      expect(errorOf(call("ADD")).code).toBe(103);
      expect(node.sh("cat /run/.node/victim")).toBe("mine\n");
    } finally {
      node.sh("rm /run/tortie/ipam.lock /run/.node/victim");
    }
  });

  test("in the place of a block's file is not read through", () => {
    const block = node.sh("ls /run/tortie/ipam/blocks/*.json").trim().split("\n")[0] ?? "";
    node.sh(`mv ${block} /run/.node/block; ln -s /etc/shadow ${block}`);
    try {
      const { msg } = errorOf(call("ADD"));
      expect(msg).not.toContain("root:");
      expect(node.sh("stat -c %F /etc/shadow")).toBe("regular file\n");
    } finally {
      node.sh(`rm ${block}; mv /run/.node/block ${block}`);
    }
  });

  test("in the place of the log is not followed, and no pod fails for it", () => {
    node.sh("mkdir -p /run/.node/log; echo mine >/run/.node/victim; ln -s /run/.node/victim /run/.node/log/cni.log");
    addAndDelete({ stdin: JSON.stringify({ ...usual, log_level: "debug", log_file_path: "/run/.node/log/cni.log" }) });
    expect(node.sh("cat /run/.node/victim; rm -r /run/.node/victim /run/.node/log")).toBe("mine\n");
  });
});

describe("files of the store", () => {
  test("have mode 0600 and directories 0700, whatever the umask", () => {
    node.sh("mv /run/tortie /run/.node/kept");
    try {
      expect(call("ADD", { shell: 'umask 000; exec "$@"' }).status).toBe(0);
      expect(node.sh("find /run/tortie -type d ! -perm 700 -o -type f ! -perm 600")).toBe("");
      expect(call("DEL", { shell: 'umask 777; exec "$@"' }).status).toBe(0);
    } finally {
      node.sh("rm -r /run/tortie; mv /run/.node/kept /run/tortie");
    }
  });

  test("in a directory of another user's are not trusted", () => {
    node.sh("chown 65534 /run/tortie");
    try {
      expect(errorOf(call("ADD")).msg).toContain("owned by");
    } finally {
      node.sh("chown 0 /run/tortie");
    }
  });
});

describe("the node", () => {
  test("a full /run: STATUS answers 50, ADD fails with code 103 and is taken back, DEL frees", () => {
    node.sh(
      "mv /run/tortie /run/.node/kept; mkdir /run/tortie; mount -t tmpfs -o size=4k,mode=700 tmpfs /run/tortie; head -c 4096 /dev/zero >/run/tortie/filler || true",
    );
    try {
      expect(errorOf(call("STATUS")).code).toBe(50);
      expect(errorOf(call("ADD")).code).toBe(103);
      expect(call("DEL").status).toBe(0);
    } finally {
      node.sh("umount /run/tortie; rmdir /run/tortie; mv /run/.node/kept /run/tortie");
    }
  });

  test("a read-only /run: STATUS answers 50, ADD fails with code 103", () => {
    node.sh("mount --bind /run/tortie /run/tortie; mount -o remount,bind,ro /run/tortie");
    try {
      expect(errorOf(call("STATUS")).code).toBe(50);
      expect(errorOf(call("ADD")).code).toBe(103);
    } finally {
      node.sh("umount /run/tortie");
    }
  });

  test("no /proc: ADD fails with one error, DEL has an answer", ({ skip }) => {
    skip(isSanitized, "the sanitizers need /proc themselves");
    const shell = 'mount -t tmpfs tmpfs /proc; exec "$@"';
    const unshared = { shell: `exec unshare --mount bash -c '${shell}' bash "$@"` };
    errorOf(call("ADD", unshared));
    const deleted = call("DEL", unshared);
    if (deleted.status !== 0) errorOf(deleted);
  });

  test("no PATH and no other variable than the protocol's: ADD and DEL succeed", () => {
    addAndDelete();
  });

  test.each([
    ["closed", ">&-"],
    ["full", ">/dev/full"],
  ])("a standard output that is %s: ADD fails and is taken back", (_, redirection) => {
    const { status, signal } = call("ADD", { shell: `exec "$@" ${redirection}` });
    expect({ status, signal }).toEqual({ status: 1, signal: undefined });
  });

  test("a standard error that is closed or full is no reason to fail", () => {
    const stdin = JSON.stringify({ ...usual, log_level: "debug" });
    for (const redirection of ["2>&-", "2>/dev/full"]) {
      expect(call("ADD", { stdin, shell: `exec "$@" ${redirection}` }).status).toBe(0);
      expect(call("DEL", { stdin, shell: `exec "$@" ${redirection}` }).status).toBe(0);
    }
  });

  test("a closed standard input: code 5", () => {
    expect(errorOf(call("ADD", { shell: 'exec "$@" <&-' })).code).toBe(5);
  });

  test("no file may be written to: one error, not a signal", () => {
    errorOf(call("ADD", { shell: 'ulimit -f 0; exec "$@"' }));
  });

  test("no descriptor is left: one error", ({ skip }) => {
    skip(isSanitized, "the sanitizers need some themselves");
    errorOf(call("ADD", { shell: 'ulimit -n 4; exec "$@"' }));
  });

  test("a caller that ignores SIGCHLD, SIGPIPE and SIGALRM: ADD and DEL succeed, and a delegate's failure is seen", () => {
    const shell = 'exec perl -e \'$SIG{$_}="IGNORE" for qw(CHLD PIPE ALRM); exec @ARGV\' "$@"';
    addAndDelete({ shell });
    node.sh(
      "mkdir -p /run/.node/dead; printf '#!/bin/sh\\nexit 3\\n' >/run/.node/dead/dead; chmod 755 /run/.node/dead/dead",
    );
    const stdin = JSON.stringify({ ...usual, ipam: { type: "dead" } });
    const env = { CNI_PATH: `${ourPluginDir}:/run/.node/dead` };
    expect(errorOf(call("ADD", { stdin, env, shell })).msg).toContain("exit status 3");
  });
});

describe("a lock that a stranger holds", () => {
  test("ends the wait with code 11 and the holder's process and name, and nothing is left", async () => {
    const { code, msg } = errorOf(await waiting);
    expect(code).toBe(11);
    expect(msg).toMatch(
      /^cannot lock the datastore: "\/run\/tortie\/ipam.lock" is held by process \d+ \((flock|sleep)\)/,
    );
    expect(leaks(diff(lockedBefore, snapshot(lockedNode)))).toEqual([]);
  });
});

describe("what a child of ours gets", () => {
  test("is the caller's environment for a delegate, and no open file", () => {
    node.sh(`mkdir -p /run/.node/spy; cat >/run/.node/spy/spy; chmod 755 /run/.node/spy/spy`, {
      stdin: "#!/bin/sh\nls /proc/self/fd >/run/.node/spy/fds\nexec /bin/cat >/run/.node/spy/stdin\n",
    });
    const stdin = JSON.stringify({ ...usual, ipam: { type: "spy" } });
    const env = { CNI_PATH: `${ourPluginDir}:/run/.node/spy` };
    // Descriptors that the runtime left open are not passed on to delegates.
    errorOf(call("ADD", { stdin, env, shell: 'exec 7</etc/passwd 8>/dev/null; exec "$@"' }));
    // Descriptor 3 is the directory that ls itself opens.
    expect(node.sh("cat /run/.node/spy/fds")).toBe("0\n1\n2\n3\n");
  });
});
