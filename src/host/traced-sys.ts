/**
 * A `Sys` that records how long each call takes, for `TORTIE_TRACE=file`.
 *
 *     {"pid":42,"plugin":"calico","command":"ADD","container":"c1","ifname":"eth0","at":…,"end":…,"startCpu":…,"startWait":…,"cpu":…,"wait":…}
 *     {"pid":42,"phase":"configuration","at":…,"took":…}
 *     {"pid":42,"call":"send","what":"route","at":…,"took":…,"messages":[16,19,19]}
 *
 * Times are nanoseconds of CLOCK_MONOTONIC, which all processes of a node share. A process appends all of its lines with one write(2) when it ends, so
 * the lines of the processes of a chain are never mixed. A killed process writes nothing.
 */
import type { NetlinkSocket, Sys } from "./sys.ts";

/** The first line of a process. */
export interface TracedProcess {
  readonly pid: number;
  readonly plugin: string;
  readonly command: string;
  readonly container: string;
  readonly ifname: string;
  /** When the trace began, after the start of the process. */
  readonly at: number;
  readonly end: number;
  /** CPU time before `at`, and time of waiting for a CPU, since the runtime created the process. */
  readonly startCpu: number;
  readonly startWait: number;
  /** The same until `end`. */
  readonly cpu: number;
  readonly wait: number;
}

export interface TracedPhase {
  readonly pid: number;
  readonly phase: string;
  readonly at: number;
  readonly took: number;
}

export interface TracedCall {
  readonly pid: number;
  /** The method of `Sys` or of its netlink sockets. */
  readonly call: string;
  /** The path, program or netlink protocol. */
  readonly what: string;
  readonly at: number;
  readonly took: number;
  /** The name of the errno, if the call failed. */
  readonly error?: string;
  /** The types of the netlink messages in a sent datagram. */
  readonly messages?: readonly number[];
}

export interface TraceTarget {
  readonly file: string;
  readonly plugin: string;
  readonly environment: Readonly<Record<string, string>>;
}

type Methods = Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;

/**
 * `machine` with each call recorded. `exit` writes the trace; if that fails, the operation is not affected. (Few functions, all in one, because every
 * process maps this code and hardly any runs it: a function of a module takes 300 bytes of the executable before its first statement.)
 */
export function tracedSys(machine: Sys, { file, plugin, environment }: TraceTarget): Sys {
  const pid = machine.pid();
  const now = () => Math.round(machine.monotonicMs() * 1e6);
  const lines: Record<string, unknown>[] = [];

  /** CPU time and, from proc(5)'s schedstat, time of waiting for a CPU. A kernel without CONFIG_SCHED_INFO has no such file. */
  const used = () => {
    const cpu = Math.round(machine.cpuMs() * 1e6);
    try {
      return [cpu, Number(machine.readFile("/proc/self/schedstat").split(" ")[1])];
    } catch {
      return [cpu, 0];
    }
  };
  const [startCpu, startWait] = used();
  const at = now();
  let phase: { readonly name: string; readonly at: number } = { name: "input", at };

  /** Replaces methods. If the first argument is a path, a program's argv, a stream or a protocol, it is recorded. */
  const wrap = (target: unknown, names: readonly string[], what?: string) =>
    Object.fromEntries(
      names.map((call) => [
        call,
        (...args: readonly unknown[]): unknown => {
          const [first] = args;
          const line: Record<string, unknown> = {
            pid,
            call,
            what: what ?? `${Array.isArray(first) ? first[0] : first}`,
          };
          line.at = now();
          try {
            return (target as Methods)[call]?.(...args);
          } catch (error) {
            line.error = (error as { readonly code?: unknown }).code;
            throw error;
          } finally {
            line.took = now() - (line.at as number);
            if (first instanceof Uint8Array) {
              // Each message begins with its length in 32 bits and its type in 16, in the byte order of the machine.
              const { buffer, byteOffset, byteLength } = first;
              const view = new DataView(buffer, byteOffset, byteLength);
              const messages: number[] = [];
              for (let place = 0; place + 16 <= byteLength; ) {
                messages.push(view.getUint16(place + 4, true));
                place += Math.max(16, (view.getUint32(place, true) + 3) & ~3);
              }
              line.messages = messages;
            }
            lines.push(line);
          }
        },
      ]),
    );
  // biome-ignore format: a list of words
  const traced = wrap(machine, [
    "openNetlink", "readStdin", "write", "sleepMs", "lock", "run", "exchange", "openNetns", "stat", "listDir", "trustDirectory",
    "readFile", "writeFile", "createFile", "replaceFile", "appendFile", "rename", "removeFile", "removeDir", "makeDirs",
  ]) as Methods;
  return Object.assign(Object.create(machine), traced, {
    openNetlink: (protocol, netns) =>
      wrap(traced.openNetlink?.(protocol, netns), ["send", "receive", "close"], protocol) as unknown as NetlinkSocket,
    phase(name) {
      const before = phase;
      lines.push({ pid, phase: before.name, at: before.at, took: now() - before.at });
      phase = { name, at: now() };
      return before.name;
    },
    exit(status) {
      this.phase?.("");
      const { CNI_COMMAND: command, CNI_CONTAINERID: container, CNI_IFNAME: ifname } = environment;
      const [cpu, wait] = used();
      lines.unshift({ pid, plugin, command, container, ifname, at, end: now(), startCpu, startWait, cpu, wait });
      try {
        machine.appendFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(""), 0o600);
      } catch {
        // The operation has ended, and its result does not depend on the trace.
      }
      return machine.exit(status);
    },
  } satisfies Partial<Sys>);
}
