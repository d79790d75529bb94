/**
 * What `Sys` promises, as cases that run on any implementation: on Node in the unit ring, on the native host in the netns ring.
 *
 * A case throws when the promise is broken. It gets an empty folder of its own, and uses nothing but `Sys`.
 */
import { isErrno, type NetlinkSocket, type Sys } from "../../src/host/sys.ts";

export interface SysCase {
  readonly name: string;
  run(sys: Sys, folder: string): void;
}

const shell = "/bin/sh";

/** For every implementation. */
export const sysCases: readonly SysCase[] = [
  {
    name: "readFile() gives back what replaceFile() wrote, whatever the characters",
    run(sys, folder) {
      const text = 'tortie "ünïcödé" 猫 \u{1f408} \u0000 end\n';
      sys.replaceFile(`${folder}/a`, text, { mode: 0o600, durable: true });
      expectEqual(sys.readFile(`${folder}/a`), text);
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
    run(sys, folder) {
      const text = "0123456789abcdef".repeat(65536);
      sys.replaceFile(`${folder}/a`, text, { mode: 0o600, durable: false });
      expectEqual(sys.readFile(`${folder}/a`) === text, true);
    },
  },
  {
    name: "a failure carries errno's name, the call, and the path in its message",
    run(sys, folder) {
      const error = expectErrno("ENOENT", () => sys.readFile(`${folder}/none`)) as Error & { syscall?: string };
      expectEqual(error.syscall, "open");
      expectEqual(error.message.toLowerCase(), `open ${folder}/none: no such file or directory`.toLowerCase());
      expectErrno("EISDIR", () => sys.readFile(folder));
      expectErrno("EINVAL", () => sys.readFile("/proc/\u0000/x"));
    },
  },
  {
    name: "writeFile() writes to a file that exists and creates none",
    run(sys, folder) {
      sys.createFile(`${folder}/a`, "long text", 0o644);
      sys.writeFile(`${folder}/a`, "new");
      expectEqual(sys.readFile(`${folder}/a`), "newg text");
      expectErrno("ENOENT", () => sys.writeFile(`${folder}/none`, "x"));
    },
  },
  {
    name: "createFile() refuses a name that exists and leaves it as it was",
    run(sys, folder) {
      sys.createFile(`${folder}/a`, "first", 0o640);
      expectErrno("EEXIST", () => sys.createFile(`${folder}/a`, "second", 0o640));
      expectEqual(sys.readFile(`${folder}/a`), "first");
      expectEqual(sys.stat(`${folder}/a`)?.mode, 0o640);
      expectEqual(sys.listDir(folder), ["a"]);
    },
  },
  {
    name: "replaceFile() puts a new file in the place of the old one and leaves no other name",
    run(sys, folder) {
      sys.createFile(`${folder}/a`, "first", 0o644);
      const before = sys.stat(`${folder}/a`);
      sys.replaceFile(`${folder}/a`, "second", { mode: 0o600, durable: true });
      expectEqual(sys.stat(`${folder}/a`)?.inode === before?.inode, false);
      expectEqual(sys.stat(`${folder}/a`)?.mode, 0o600);
      expectEqual(sys.listDir(folder), ["a"]);
    },
  },
  {
    name: "replaceFile() that fails leaves the old file and no other name",
    run(sys, folder) {
      sys.makeDirs(`${folder}/a/b`, 0o755);
      expectErrno("EISDIR", () => sys.replaceFile(`${folder}/a`, "text", { mode: 0o600, durable: false }));
      expectEqual(sys.listDir(folder), ["a"]);
      expectErrno("ENOENT", () => sys.replaceFile(`${folder}/none/a`, "text", { mode: 0o600, durable: false }));
    },
  },
  {
    name: "appendFile() adds at the end and returns the size",
    run(sys, folder) {
      expectEqual(sys.appendFile(`${folder}/log`, "é\n", 0o600), 3);
      expectEqual(sys.appendFile(`${folder}/log`, "two\n", 0o600), 7);
      expectEqual(sys.readFile(`${folder}/log`), "é\ntwo\n");
    },
  },
  {
    name: "appendFile() writes to plain files only: it follows no link and waits for no reader",
    run(sys, folder) {
      sys.run([shell, "-c", `cd ${folder} && : >victim && ln -s victim link && ln -s none dangling && mkfifo fifo`], {
        env: { PATH: "/usr/bin:/bin" },
        stdin: "",
        timeoutMs: 10_000,
      });
      expectErrno("ELOOP", () => sys.appendFile(`${folder}/link`, "x", 0o600));
      expectErrno("ELOOP", () => sys.appendFile(`${folder}/dangling`, "x", 0o600));
      expectErrno("ENXIO", () => sys.appendFile(`${folder}/fifo`, "x", 0o600));
      expectErrno("EISDIR", () => sys.appendFile(folder, "x", 0o600));
      expectErrno("EINVAL", () => sys.appendFile("/dev/null", "x", 0o600));
      expectEqual(sys.readFile(`${folder}/victim`), "");
      expectEqual(sys.stat(`${folder}/none`), undefined);
    },
  },
  {
    name: "makeDirs() makes missing parents, takes what exists, and refuses a file in the way",
    run(sys, folder) {
      sys.makeDirs(`${folder}/x/y/z`, 0o750);
      sys.makeDirs(`${folder}/x/y/z`, 0o750);
      expectEqual(sys.stat(`${folder}/x/y`)?.kind, "directory");
      sys.createFile(`${folder}/file`, "", 0o600);
      expectErrno("ENOTDIR", () => sys.makeDirs(`${folder}/file/x`, 0o750));
    },
  },
  {
    name: "stat() tells kinds apart and gives undefined where nothing is",
    run(sys, folder) {
      sys.createFile(`${folder}/a`, "four", 0o600);
      const status = sys.stat(`${folder}/a`);
      expectEqual([status?.kind, status?.size], ["file", 4]);
      expectEqual(Math.abs((status?.modifiedMs ?? 0) - sys.wallClock().seconds * 1000) < 60_000, true);
      expectEqual(sys.stat("/dev/null")?.kind, "other");
      expectEqual(sys.stat(`${folder}/none`), undefined);
      expectEqual(sys.stat(`${folder}/a/b`), undefined);
    },
  },
  {
    name: "trustFolder() refuses links, files, and what others may write to, and takes what is not there",
    run(sys, folder) {
      sys.makeDirs(`${folder}/own`, 0o700);
      sys.trustFolder(`${folder}/own`);
      sys.trustFolder(`${folder}/none`);
      sys.createFile(`${folder}/file`, "", 0o600);
      expectErrno("ENOTDIR", () => sys.trustFolder(`${folder}/file`));
      const script = `ln -s own ${folder}/link; mkdir ${folder}/open; chmod 777 ${folder}/open`;
      sys.run([shell, "-c", script], { env: { PATH: "/usr/bin:/bin" }, stdin: "", timeoutMs: 10_000 });
      expectErrno("ELOOP", () => sys.trustFolder(`${folder}/link`));
      expectErrno("EPERM", () => sys.trustFolder(`${folder}/open`));
    },
  },
  {
    name: "readFile() follows a link unless it is told not to, and waits for no FIFO's writer",
    run(sys, folder) {
      sys.createFile(`${folder}/a`, "text", 0o600);
      const script = `ln -s a ${folder}/link; mkfifo ${folder}/fifo`;
      sys.run([shell, "-c", script], { env: { PATH: "/usr/bin:/bin" }, stdin: "", timeoutMs: 10_000 });
      expectEqual(sys.readFile(`${folder}/link`), "text");
      expectErrno("ELOOP", () => sys.readFile(`${folder}/link`, "refused"));
      expectEqual(sys.readFile(`${folder}/fifo`), "");
    },
  },
  {
    name: "rename(), removeFile() and removeDir() do and refuse as the kernel does",
    run(sys, folder) {
      sys.createFile(`${folder}/a`, "", 0o600);
      sys.rename(`${folder}/a`, `${folder}/b`);
      expectErrno("ENOENT", () => sys.removeFile(`${folder}/a`));
      expectErrno("ENOTEMPTY", () => sys.removeDir(folder));
      sys.removeFile(`${folder}/b`);
      expectEqual(sys.listDir(folder), []);
    },
  },
  {
    name: "lock() excludes a second exclusive lock until its time is over",
    run(sys, folder) {
      const first = sys.lock(`${folder}/lock`, "exclusive", 1000);
      expectErrno("ETIMEDOUT", () => sys.lock(`${folder}/lock`, "exclusive", 30));
      expectErrno("ETIMEDOUT", () => sys.lock(`${folder}/lock`, "shared", 0));
      sys.unlock(first);
      sys.unlock(sys.lock(`${folder}/lock`, "exclusive", 30));
      expectEqual(sys.stat(`${folder}/lock`)?.mode, 0o600);
    },
  },
  {
    name: "lock() tells that the last holder was killed, once, and of exclusive holders alone",
    run(sys, folder) {
      const path = `${folder}/lock`;
      const take = (mode: "shared" | "exclusive") => {
        const lock = sys.lock(path, mode, 0);
        sys.unlock(lock);
        return lock.abandoned;
      };
      expectEqual([take("exclusive"), take("exclusive")], [false, false]);
      // What a holder leaves: a lock that is closed is free, and the byte stays.
      sys.writeFile(path, "1");
      expectEqual([take("shared"), take("exclusive"), take("exclusive")], [false, true, false]);
    },
  },
  {
    name: "lock() shared goes together with shared",
    run(sys, folder) {
      const first = sys.lock(`${folder}/lock`, "shared", 0);
      const second = sys.lock(`${folder}/lock`, "shared", 0);
      expectErrno("ETIMEDOUT", () => sys.lock(`${folder}/lock`, "exclusive", 10));
      sys.unlock(first);
      sys.unlock(second);
    },
  },
  {
    name: "lock() waits for another process and gets the lock when that ends",
    run(sys, folder) {
      const script = `flock ${folder}/lock sh -c 'touch ${folder}/held; sleep 0.3; touch ${folder}/freed' >/dev/null 2>&1 & while ! test -e ${folder}/held; do sleep 0.01; done`;
      sys.run([shell, "-c", script], { env: { PATH: "/usr/bin:/bin" }, stdin: "", timeoutMs: 10_000 });
      expectErrno("ETIMEDOUT", () => sys.lock(`${folder}/lock`, "exclusive", 20));
      sys.unlock(sys.lock(`${folder}/lock`, "exclusive", 20_000));
      expectEqual(sys.stat(`${folder}/freed`)?.kind, "file");
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
    run(sys, folder) {
      const lock = sys.lock(`${folder}/lock`, "exclusive", 0);
      const result = sys.run(["/bin/ls", "-l", "/proc/self/fd"], { env: {}, stdin: "", timeoutMs: 10_000 });
      sys.unlock(lock);
      expectEqual(result.stdout.includes(`${folder}/lock`), false);
    },
  },
  {
    name: "run() kills the program when its time is over",
    run(sys, folder) {
      const script = `echo $$ > ${folder}/pid; exec sleep 60`;
      expectErrno("ETIMEDOUT", () => {
        sys.run([shell, "-c", script], { env: { PATH: "/usr/bin:/bin" }, stdin: "", timeoutMs: 300 });
      });
      const pid = sys.readFile(`${folder}/pid`).trim();
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
    run(sys, folder) {
      const options = { env: {}, stdin: "", timeoutMs: 10_000 };
      expectErrno("ENOENT", () => sys.run([`${folder}/none`], options));
      sys.createFile(`${folder}/plain`, "#!/bin/sh\n", 0o644);
      expectErrno("EACCES", () => sys.run([`${folder}/plain`], options));
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

/** For the native host: they need root, and run in a network namespace that the test made. */
export const nativeSysCases: readonly SysCase[] = [
  {
    name: "run() lets the program inherit no descriptor but the standard streams",
    run(sys, folder) {
      sys.lock(`${folder}/lock`, "exclusive", 0);
      const result = sys.run(["/bin/ls", "/proc/self/fd"], { env: {}, stdin: "", timeoutMs: 10_000 });
      // ls itself opens the folder as 3.
      expectEqual(result.stdout, "0\n1\n2\n3\n");
    },
  },
  {
    name: "run() leaves a text without an interpreter to no shell",
    run(sys, folder) {
      sys.createFile(`${folder}/garbage`, "garbage", 0o755);
      expectErrno("ENOEXEC", () => sys.run([`${folder}/garbage`], { env: {}, stdin: "", timeoutMs: 10_000 }));
    },
  },
  {
    name: "run() gives the name ETXTBSY to a program that is open for writing",
    run(sys, folder) {
      const script = `cp /bin/true ${folder}/busy; { touch ${folder}/ready; sleep 1; } 3>>${folder}/busy >/dev/null 2>&1 & while ! test -e ${folder}/ready; do sleep 0.01; done`;
      sys.run([shell, "-c", script], { env: { PATH: "/usr/bin:/bin" }, stdin: "", timeoutMs: 10_000 });
      expectErrno("ETXTBSY", () => sys.run([`${folder}/busy`], { env: {}, stdin: "", timeoutMs: 10_000 }));
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
    run(sys, folder) {
      sys.createFile(`${folder}/file`, "", 0o600);
      sys.run(["/usr/bin/mkfifo", `${folder}/fifo`], { env: {}, stdin: "", timeoutMs: 10_000 });
      for (const path of [
        `${folder}/file`,
        `${folder}/fifo`,
        folder,
        "/dev/null",
        "/proc/self/ns/pid",
        "/proc/self/ns/mnt",
      ]) {
        expectErrno("EINVAL", () => sys.openNetns(path));
      }
      expectErrno("ENOENT", () => sys.openNetns(`${folder}/none`));
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
        // What grows at the end of the heap, with a neighbour that comes later and stays longer.
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
    name: "readStdinFor() gives what has come when the time is over",
    run(sys) {
      expectEqual(sys.readStdinFor(1000, 30), "");
    },
  },
];

/** Where the netns ring puts a second namespace, with one more link, `marker0`, in it. */
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

function expectErrno(name: string, body: () => unknown): Error {
  try {
    body();
  } catch (error) {
    if (isErrno(error, name)) return error;
    throw new Error(`wanted ${name}, found ${String(error)}`);
  }
  throw new Error(`wanted ${name}, found success`);
}
