/**
 * The contract of `Sys` as cases that run on any implementation: on Node in the unit ring, on the native host in the netns ring.
 *
 * A case throws if the contract is violated. It gets an empty directory, and uses nothing but `Sys`.
 */
import { isErrno, type NetlinkSocket, type Sys } from "../../../src/host/sys.ts";

export interface SysCase {
  readonly name: string;
  run(sys: Sys, directory: string): void;
}

const shell = "/bin/sh";

/** Cases for every implementation. */
export const sysCases: readonly SysCase[] = [
  {
    name: "readFile() gives back what replaceFile() wrote, whatever the characters",
    run(sys, directory) {
      const text = 'tortie "ünïcödé" 猫 \u{1f408} \u0000 end\n';
      sys.replaceFile(`${directory}/a`, text, { mode: 0o600, durable: true });
      expectEqual(sys.readFile(`${directory}/a`), text);
    },
  },
  {
    name: "readFile() reads a file of /proc, whose size is told as 0",
    run(sys) {
      expectEqual(sys.readFile("/proc/self/status").includes("\nPid:"), true);
    },
  },
  {
    name: "readFile() reads a megabyte",
    run(sys, directory) {
      const text = "0123456789abcdef".repeat(65536);
      sys.replaceFile(`${directory}/a`, text, { mode: 0o600, durable: false });
      expectEqual(sys.readFile(`${directory}/a`) === text, true);
    },
  },
  {
    name: "a failure carries errno's name, the call, and the path in its message",
    run(sys, directory) {
      const error = expectErrno("ENOENT", () => sys.readFile(`${directory}/none`)) as Error & { syscall?: string };
      expectEqual(error.syscall, "open");
      expectEqual(error.message.toLowerCase(), `open ${directory}/none: no such file or directory`.toLowerCase());
      expectErrno("EISDIR", () => sys.readFile(directory));
      expectErrno("EINVAL", () => sys.readFile("/proc/\u0000/x"));
    },
  },
  {
    name: "writeFile() writes to a file that exists and creates none",
    run(sys, directory) {
      sys.createFile(`${directory}/a`, "long text", 0o644);
      sys.writeFile(`${directory}/a`, "new");
      expectEqual(sys.readFile(`${directory}/a`), "newg text");
      expectErrno("ENOENT", () => sys.writeFile(`${directory}/none`, "x"));
    },
  },
  {
    name: "createFile() refuses a name that exists and leaves it as it was",
    run(sys, directory) {
      sys.createFile(`${directory}/a`, "first", 0o640);
      expectErrno("EEXIST", () => sys.createFile(`${directory}/a`, "second", 0o640));
      expectEqual(sys.readFile(`${directory}/a`), "first");
      expectEqual(sys.stat(`${directory}/a`)?.mode, 0o640);
      expectEqual(sys.listDir(directory), ["a"]);
    },
  },
  {
    name: "replaceFile() puts a new file in the place of the old one and leaves no other name",
    run(sys, directory) {
      sys.createFile(`${directory}/a`, "first", 0o644);
      const before = sys.stat(`${directory}/a`);
      sys.replaceFile(`${directory}/a`, "second", { mode: 0o600, durable: true });
      expectEqual(sys.stat(`${directory}/a`)?.inode === before?.inode, false);
      expectEqual(sys.stat(`${directory}/a`)?.mode, 0o600);
      expectEqual(sys.listDir(directory), ["a"]);
    },
  },
  {
    name: "replaceFile() that fails leaves the old file and no other name",
    run(sys, directory) {
      sys.makeDirs(`${directory}/a/b`, 0o755);
      expectErrno("EISDIR", () => sys.replaceFile(`${directory}/a`, "text", { mode: 0o600, durable: false }));
      expectEqual(sys.listDir(directory), ["a"]);
      expectErrno("ENOENT", () => sys.replaceFile(`${directory}/none/a`, "text", { mode: 0o600, durable: false }));
    },
  },
  {
    name: "appendFile() adds at the end and returns the size",
    run(sys, directory) {
      expectEqual(sys.appendFile(`${directory}/log`, "é\n", 0o600), 3);
      expectEqual(sys.appendFile(`${directory}/log`, "two\n", 0o600), 7);
      expectEqual(sys.readFile(`${directory}/log`), "é\ntwo\n");
    },
  },
  {
    name: "appendFile() writes to plain files only: it follows no link and waits for no reader",
    run(sys, directory) {
      sys.run(
        [shell, "-c", `cd ${directory} && : >victim && ln -s victim link && ln -s none dangling && mkfifo fifo`],
        {
          env: { PATH: "/usr/bin:/bin" },
          stdin: "",
          timeoutMs: 10_000,
        },
      );
      expectErrno("ELOOP", () => sys.appendFile(`${directory}/link`, "x", 0o600));
      expectErrno("ELOOP", () => sys.appendFile(`${directory}/dangling`, "x", 0o600));
      expectErrno("ENXIO", () => sys.appendFile(`${directory}/fifo`, "x", 0o600));
      expectErrno("EISDIR", () => sys.appendFile(directory, "x", 0o600));
      expectErrno("EINVAL", () => sys.appendFile("/dev/null", "x", 0o600));
      expectEqual(sys.readFile(`${directory}/victim`), "");
      expectEqual(sys.stat(`${directory}/none`), undefined);
    },
  },
  {
    name: "makeDirs() makes missing parents, takes what exists, and refuses a file in the way",
    run(sys, directory) {
      sys.makeDirs(`${directory}/x/y/z`, 0o750);
      sys.makeDirs(`${directory}/x/y/z`, 0o750);
      expectEqual(sys.stat(`${directory}/x/y`)?.kind, "directory");
      sys.createFile(`${directory}/file`, "", 0o600);
      expectErrno("ENOTDIR", () => sys.makeDirs(`${directory}/file/x`, 0o750));
    },
  },
  {
    name: "stat() tells kinds apart and gives undefined where nothing is",
    run(sys, directory) {
      sys.createFile(`${directory}/a`, "four", 0o600);
      const status = sys.stat(`${directory}/a`);
      expectEqual([status?.kind, status?.size], ["file", 4]);
      expectEqual(Math.abs((status?.modifiedMs ?? 0) - sys.wallClock().seconds * 1000) < 60_000, true);
      expectEqual(sys.stat("/dev/null")?.kind, "other");
      expectEqual(sys.stat(`${directory}/none`), undefined);
      expectEqual(sys.stat(`${directory}/a/b`), undefined);
    },
  },
  {
    name: "trustDirectory() refuses links, files, and what others may write to, and takes what is not there",
    run(sys, directory) {
      sys.makeDirs(`${directory}/own`, 0o700);
      sys.trustDirectory(`${directory}/own`);
      sys.trustDirectory(`${directory}/none`);
      sys.createFile(`${directory}/file`, "", 0o600);
      expectErrno("ENOTDIR", () => sys.trustDirectory(`${directory}/file`));
      const script = `ln -s own ${directory}/link; mkdir ${directory}/open; chmod 777 ${directory}/open`;
      sys.run([shell, "-c", script], { env: { PATH: "/usr/bin:/bin" }, stdin: "", timeoutMs: 10_000 });
      expectErrno("ELOOP", () => sys.trustDirectory(`${directory}/link`));
      expectErrno("EPERM", () => sys.trustDirectory(`${directory}/open`));
    },
  },
  {
    name: "readFile() follows a link unless it is told not to, and waits for no FIFO's writer",
    run(sys, directory) {
      sys.createFile(`${directory}/a`, "text", 0o600);
      const script = `ln -s a ${directory}/link; mkfifo ${directory}/fifo`;
      sys.run([shell, "-c", script], { env: { PATH: "/usr/bin:/bin" }, stdin: "", timeoutMs: 10_000 });
      expectEqual(sys.readFile(`${directory}/link`), "text");
      expectErrno("ELOOP", () => sys.readFile(`${directory}/link`, "refused"));
      expectEqual(sys.readFile(`${directory}/fifo`), "");
    },
  },
  {
    name: "rename(), removeFile() and removeDir() do and refuse as the kernel does",
    run(sys, directory) {
      sys.createFile(`${directory}/a`, "", 0o600);
      sys.rename(`${directory}/a`, `${directory}/b`);
      expectErrno("ENOENT", () => sys.removeFile(`${directory}/a`));
      expectErrno("ENOTEMPTY", () => sys.removeDir(directory));
      sys.removeFile(`${directory}/b`);
      expectEqual(sys.listDir(directory), []);
    },
  },
  {
    name: "lock() excludes a second exclusive lock until its time is over",
    run(sys, directory) {
      const first = sys.lock(`${directory}/lock`, "exclusive", 1000);
      expectErrno("ETIMEDOUT", () => sys.lock(`${directory}/lock`, "exclusive", 30));
      expectErrno("ETIMEDOUT", () => sys.lock(`${directory}/lock`, "shared", 0));
      sys.unlock(first);
      sys.unlock(sys.lock(`${directory}/lock`, "exclusive", 30));
      expectEqual(sys.stat(`${directory}/lock`)?.mode, 0o600);
    },
  },
  {
    name: "lock() tells that the last holder was killed, once, and of exclusive holders alone",
    run(sys, directory) {
      const path = `${directory}/lock`;
      const take = (mode: "shared" | "exclusive") => {
        const lock = sys.lock(path, mode, 0);
        sys.unlock(lock);
        return lock.abandoned;
      };
      expectEqual([take("exclusive"), take("exclusive")], [false, false]);
      // The state that a killed holder leaves: a released lock, and the byte.
      sys.writeFile(path, "1");
      expectEqual([take("shared"), take("exclusive"), take("exclusive")], [false, true, false]);
    },
  },
  {
    name: "lock() shared goes together with shared",
    run(sys, directory) {
      const first = sys.lock(`${directory}/lock`, "shared", 0);
      const second = sys.lock(`${directory}/lock`, "shared", 0);
      expectErrno("ETIMEDOUT", () => sys.lock(`${directory}/lock`, "exclusive", 10));
      sys.unlock(first);
      sys.unlock(second);
    },
  },
  {
    name: "lock() waits for another process and gets the lock when that ends",
    run(sys, directory) {
      // It holds the lock until the first attempt was made, however slow the machine is.
      const hold = "touch held; for _ in $(seq 2000); do test -e tried && break; sleep 0.01; done; touch freed";
      const script = `cd ${directory}; flock lock sh -c '${hold}' >/dev/null 2>&1 & while ! test -e ${directory}/held; do sleep 0.01; done`;
      sys.run([shell, "-c", script], { env: { PATH: "/usr/bin:/bin" }, stdin: "", timeoutMs: 10_000 });
      expectErrno("ETIMEDOUT", () => sys.lock(`${directory}/lock`, "exclusive", 20));
      sys.createFile(`${directory}/tried`, "", 0o600);
      sys.unlock(sys.lock(`${directory}/lock`, "exclusive", 20_000));
      expectEqual(sys.stat(`${directory}/freed`)?.kind, "file");
    },
  },
  {
    name: "exchange() sends the whole request and returns the whole answer",
    run(sys, directory) {
      const request = "0123456789abcdéf".repeat(20_000);
      const path = startServer(sys, directory, 'local $/; my $text = <$c>; print $c "<$text>";');
      expectEqual(sys.exchange(path, request, 20_000) === `<${request}>`, true);
    },
  },
  {
    name: "exchange() returns the answer of a server that does not want the whole request",
    run(sys, directory) {
      const path = startServer(sys, directory, 'print $c "too long"; shutdown($c, 1); sleep 1;');
      expectEqual(sys.exchange(path, "x".repeat(10_000), 10_000), "too long");
    },
  },
  {
    name: "exchange() waits no longer than it is told for an answer",
    run(sys, directory) {
      const path = startServer(sys, directory, "sleep 5;");
      expectErrno("ETIMEDOUT", () => sys.exchange(path, "hello", 300));
    },
  },
  {
    name: "exchange() tells a socket that is missing from one that nobody listens at",
    run(sys, directory) {
      expectErrno("ENOENT", () => sys.exchange(`${directory}/none`, "hello", 1000));
      const path = startServer(sys, directory, "exit;", "exit;");
      expectErrno("ECONNREFUSED", () => sys.exchange(path, "hello", 1000));
    },
  },
  {
    name: "run() gives the program its stdin and returns its output and status",
    run(sys) {
      const result = sys.run([shell, "-c", "cat; echo oops >&2; exit 3"], {
        env: {},
        stdin: "héllo",
        timeoutMs: 10_000,
      });
      expectEqual(result, { status: 3, stdout: "héllo", stderr: "oops\n" });
    },
  },
  {
    name: "run() moves more than a pipe holds both ways at once",
    run(sys) {
      const text = "0123456789abcdef".repeat(20_000);
      const result = sys.run(["/bin/cat"], { env: {}, stdin: text, timeoutMs: 20_000 });
      expectEqual(result.stdout === text, true);
    },
  },
  {
    name: "run() takes it that a program does not read its stdin",
    run(sys) {
      const result = sys.run(["/bin/true"], { env: {}, stdin: "x".repeat(300_000), timeoutMs: 10_000 });
      expectEqual(result.status, 0);
    },
  },
  {
    name: "run() gives the environment it is told and nothing else",
    run(sys) {
      const result = sys.run(["/usr/bin/env"], { env: { A: "1=2", B: "ü" }, stdin: "", timeoutMs: 10_000 });
      expectEqual(result.stdout, "A=1=2\nB=ü\n");
    },
  },
  {
    name: "run() lets the program inherit no lock",
    run(sys, directory) {
      const lock = sys.lock(`${directory}/lock`, "exclusive", 0);
      const result = sys.run(["/bin/ls", "-l", "/proc/self/fd"], { env: {}, stdin: "", timeoutMs: 10_000 });
      sys.unlock(lock);
      expectEqual(result.stdout.includes(`${directory}/lock`), false);
    },
  },
  {
    name: "run() kills the program when its time is over",
    run(sys, directory) {
      const script = `echo $$ > ${directory}/pid; exec sleep 60`;
      expectErrno("ETIMEDOUT", () => {
        sys.run([shell, "-c", script], { env: { PATH: "/usr/bin:/bin" }, stdin: "", timeoutMs: 300 });
      });
      const pid = sys.readFile(`${directory}/pid`).trim();
      expectEqual(sys.stat(`/proc/${pid}`), undefined);
    },
  },
  {
    name: "run() tells the signal that ended the program",
    run(sys) {
      const result = sys.run([shell, "-c", "kill -TERM $$"], { env: {}, stdin: "", timeoutMs: 10_000 });
      expectEqual([result.status, result.signal], [undefined, 15]);
    },
  },
  {
    name: "run() gives the program the default action of SIGPIPE",
    run(sys) {
      const result = sys.run([shell, "-c", "grep SigIgn /proc/self/status"], {
        env: { PATH: "/usr/bin:/bin" },
        stdin: "",
        timeoutMs: 10_000,
      });
      const ignored = Number.parseInt(result.stdout.split("\t")[1] ?? "", 16);
      expectEqual((ignored >> 12) & 1, 0);
    },
  },
  {
    name: "run() names the error of a program that cannot start",
    run(sys, directory) {
      const options = { env: {}, stdin: "", timeoutMs: 10_000 };
      expectErrno("ENOENT", () => sys.run([`${directory}/none`], options));
      sys.createFile(`${directory}/plain`, "#!/bin/sh\n", 0o644);
      expectErrno("EACCES", () => sys.run([`${directory}/plain`], options));
    },
  },
  {
    name: "clocks go on and random bytes differ",
    run(sys) {
      const before = sys.monotonicMs();
      sys.sleepMs(5);
      expectEqual(sys.monotonicMs() - before >= 4.9, true);
      expectEqual(sys.wallClock().seconds > 1_700_000_000, true);
      expectEqual(sys.randomBytes(16).length, 16);
      const texts = [sys.randomBytes(16), sys.randomBytes(16)].map((bytes) => bytes.join());
      expectEqual(new Set(texts).size, 2);
    },
  },
  {
    name: "args(), environment(), hostname() and pid() are those of the process",
    run(sys) {
      expectEqual(sys.args().length > 0, true);
      expectEqual(sys.environment().PATH?.includes("/bin"), true);
      expectEqual(sys.readFile("/proc/sys/kernel/hostname").trim(), sys.hostname());
      expectEqual(sys.stat(`/proc/${sys.pid()}`)?.kind, "directory");
    },
  },
  {
    name: "ownNetns() is what /proc says",
    run(sys) {
      const status = sys.stat("/proc/self/ns/net");
      expectEqual(sys.ownNetns(), { device: status?.device, inode: status?.inode });
    },
  },
];

/** Cases for the native host: they need root, and run in a network namespace that the test created. */
export const nativeSysCases: readonly SysCase[] = [
  {
    name: "run() lets the program inherit no descriptor but the standard streams",
    run(sys, directory) {
      sys.lock(`${directory}/lock`, "exclusive", 0);
      const result = sys.run(["/bin/ls", "/proc/self/fd"], { env: {}, stdin: "", timeoutMs: 10_000 });
      // Descriptor 3 is the directory that ls itself opens.
      expectEqual(result.stdout, "0\n1\n2\n3\n");
    },
  },
  {
    name: "run() leaves a text without an interpreter to no shell",
    run(sys, directory) {
      sys.createFile(`${directory}/garbage`, "garbage", 0o755);
      expectErrno("ENOEXEC", () => sys.run([`${directory}/garbage`], { env: {}, stdin: "", timeoutMs: 10_000 }));
    },
  },
  {
    name: "run() gives the name ETXTBSY to a program that is open for writing",
    run(sys, directory) {
      const script = `cp /bin/true ${directory}/busy; { touch ${directory}/ready; sleep 1; } 3>>${directory}/busy >/dev/null 2>&1 & while ! test -e ${directory}/ready; do sleep 0.01; done`;
      sys.run([shell, "-c", script], { env: { PATH: "/usr/bin:/bin" }, stdin: "", timeoutMs: 10_000 });
      expectErrno("ETXTBSY", () => sys.run([`${directory}/busy`], { env: {}, stdin: "", timeoutMs: 10_000 }));
    },
  },
  {
    name: "run() does not wait for what the program left behind",
    run(sys) {
      const start = sys.monotonicMs();
      const result = sys.run([shell, "-c", "sleep 20 & echo done"], {
        env: { PATH: "/usr/bin:/bin" },
        stdin: "",
        timeoutMs: 10_000,
      });
      expectEqual(result.stdout, "done\n");
      expectEqual(sys.monotonicMs() - start < 10_000, true);
    },
  },
  {
    name: "openNetns() refuses what is no network namespace",
    run(sys, directory) {
      sys.createFile(`${directory}/file`, "", 0o600);
      sys.run(["/usr/bin/mkfifo", `${directory}/fifo`], { env: {}, stdin: "", timeoutMs: 10_000 });
      for (const path of [
        `${directory}/file`,
        `${directory}/fifo`,
        directory,
        "/dev/null",
        "/proc/self/ns/pid",
        "/proc/self/ns/mnt",
      ]) {
        expectErrno("EINVAL", () => sys.openNetns(path));
      }
      expectErrno("ENOENT", () => sys.openNetns(`${directory}/none`));
    },
  },
  {
    name: "inNetns() runs in the other namespace and comes back, from an exception too",
    run(sys) {
      const own = sys.ownNetns();
      const other = sys.openNetns(otherNetns);
      expectEqual(other.inode === own.inode, false);
      expectEqual(
        sys.inNetns(other, () => sys.ownNetns()),
        { device: other.device, inode: other.inode },
      );
      expectEqual(sys.ownNetns(), own);
      let caught: unknown;
      try {
        sys.inNetns(other, () => {
          throw new Error("on purpose");
        });
      } catch (error) {
        caught = error;
      }
      expectEqual((caught as Error).message, "on purpose");
      expectEqual(sys.ownNetns(), own);
      sys.closeNetns(other);
    },
  },
  {
    name: "inNewNetns() runs in an empty namespace and comes back, from an exception too",
    run(sys) {
      const own = sys.ownNetns();
      const inodes = [1, 2].map(() =>
        sys.inNewNetns(() => {
          const socket = sys.openNetlink("route");
          expectEqual(linkNames(socket), ["lo"]);
          socket.close();
          return sys.ownNetns().inode;
        }),
      );
      expectEqual(inodes.includes(own.inode), false);
      expectEqual(sys.ownNetns(), own);
      let caught: unknown;
      try {
        sys.inNewNetns(() => {
          throw new Error("on purpose");
        });
      } catch (error) {
        caught = error;
      }
      expectEqual((caught as Error).message, "on purpose");
      expectEqual(sys.ownNetns(), own);
    },
  },
  {
    name: "/proc/sys/net is that of the namespace inNetns() is in",
    run(sys) {
      const path = "/proc/sys/net/ipv4/ip_forward";
      const before = sys.readFile(path);
      const other = sys.openNetns(otherNetns);
      sys.inNetns(other, () => sys.writeFile(path, before.trim() === "1" ? "0" : "1"));
      expectEqual(sys.readFile(path), before);
      expectEqual(sys.inNetns(other, () => sys.readFile(path)) === before, false);
    },
  },
  {
    name: "openNetlink() talks to the kernel of the namespace it is given",
    run(sys) {
      const other = sys.openNetns(otherNetns);
      const socket = sys.openNetlink("route", other);
      expectEqual(sys.ownNetns().inode === other.inode, false);
      expectEqual(linkNames(socket), ["lo", "marker0"]);
      socket.close();
      const own = sys.openNetlink("route");
      expectEqual(linkNames(own).includes("marker0"), false);
      own.close();
    },
  },
  {
    name: "receive() gives up with ETIMEDOUT when nothing comes",
    run(sys) {
      const socket = sys.openNetlink("netfilter");
      expectErrno("ETIMEDOUT", () => socket.receive(5));
      socket.close();
      expectErrno("EBADF", () => socket.receive(5));
    },
  },
  {
    name: "send() names the error of a datagram that the kernel refuses as a whole",
    run(sys) {
      const socket = sys.openNetlink("route");
      expectErrno("EMSGSIZE", () => socket.send(new Uint8Array(8 << 20)));
      socket.close();
    },
  },
  {
    name: "memory that is freed is used again",
    run(sys) {
      const size = () => Number(/VmRSS:\s+(\d+)/.exec(sys.readFile("/proc/self/status"))?.[1]);
      const list = () => Array.from({ length: 200 }, (_, n) => `item ${n}`);
      const jobs: readonly ((round: number) => unknown)[] = [
        () => JSON.parse(JSON.stringify({ list: list() })),
        list,
        () => list().join(" ").split(" "),
        // An allocation that grows at the end of the heap, next to one that is made later and lives longer.
        (round) => {
          let text = "";
          for (let i = 0; i < 300; i++) text += `${i} `;
          const neighbour = { text, round };
          return [...text, neighbour].length;
        },
        (round) => new Map(list().map((item) => [item, round])).size,
      ];
      for (const job of jobs) {
        const work = (rounds: number) => {
          for (let round = 0; round < rounds; round++) job(round);
        };
        work(100);
        const before = size();
        work(1000);
        expectEqual(size() - before < 512, true);
      }
    },
  },
  {
    name: "openEvents() brings what happens in a group, and waitWithStdin() tells that it can be read",
    run(sys) {
      const other = sys.openNetns(otherNetns);
      // RTNLGRP_LINK
      const socket = sys.inNetns(other, () => sys.openEvents([1]));
      const ready = () => socket.waitWithStdin(5).socket;
      expectEqual(ready(), false);
      const argv = [shell, "-c", "ip link set dev marker0 mtu 1300"];
      const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
      const changed = sys.inNetns(other, () => sys.run(argv, { env, stdin: "", timeoutMs: 10_000 }));
      expectEqual(changed.stderr, "");
      expectEqual(ready(), true);
      expectEqual(socket.receive(0).length > 0, true);
      expectErrno("ETIMEDOUT", () => socket.receive(0));
      socket.close();
      expectErrno("EINVAL", () => sys.openEvents([0]));
    },
  },
  {
    name: "readStdinFor() gives what has come when the time is over",
    run(sys) {
      expectEqual(sys.readStdinFor(1000, 30), "");
    },
  },
];

/** Path of a second namespace, which the netns ring creates with one additional link, `marker0`. */
export const otherNetns = "/run/netns/other";

/** RTM_GETLINK as a dump (RFC 3549, linux/rtnetlink.h): the names in the answers. */
function linkNames(socket: NetlinkSocket): readonly string[] {
  const request = new DataView(new ArrayBuffer(32));
  request.setUint32(0, 32, true);
  request.setUint16(4, 18, true);
  request.setUint16(6, 0x301, true);
  socket.send(new Uint8Array(request.buffer));
  const names: string[] = [];
  for (;;) {
    const datagram = socket.receive(2000);
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
    for (let at = 0; at < datagram.length; at += (view.getUint32(at, true) + 3) & ~3) {
      if (view.getUint16(at + 4, true) === 3) return names.sort();
      const length = view.getUint32(at, true);
      for (let part = at + 32; part < at + length; part += (view.getUint16(part, true) + 3) & ~3) {
        if (view.getUint16(part + 2, true) !== 3) continue;
        const name = datagram.subarray(part + 4, part + view.getUint16(part, true) - 1);
        names.push(String.fromCharCode(...name));
      }
    }
  }
}

function expectEqual(actual: unknown, wanted: unknown): void {
  const [left, right] = [JSON.stringify(actual), JSON.stringify(wanted)];
  if (left !== right) throw new Error(`wanted ${right}, found ${left}`);
}

/** Starts a server at a Unix socket for one client, `$c`, and returns the path. `before`: commands to run first. */
function startServer(sys: Sys, directory: string, serve: string, before = ""): string {
  const path = `${directory}/server`;
  const program = `use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Local => "${path}", Listen => 1); ${before} my $c = $s->accept; ${serve}`;
  const script = `perl -e '${program}' >/dev/null 2>&1 & while ! test -S ${path}; do sleep 0.01; done`;
  sys.run([shell, "-c", script], { env: { PATH: "/usr/bin:/bin" }, stdin: "", timeoutMs: 10_000 });
  return path;
}

function expectErrno(name: string, body: () => unknown): Error {
  try {
    body();
  } catch (error) {
    if (isErrno(error, name)) return error;
    throw new Error(`wanted ${name}, found ${String(error)}`);
  }
  throw new Error(`wanted ${name}, found success`);
}
