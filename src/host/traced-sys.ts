/**
 * A `Sys` that records how long each call takes, for `TORTIE_TRACE=file`.
 *
 *     {"pid":42,"plugin":"calico","command":"ADD","container":"c1","ifname":"eth0","at":…,"end":…,"startCpu":…,"startWait":…,"cpu":…,"wait":…}
 *     {"pid":42,"phase":"configuration","at":…,"took":…}
 *     {"pid":42,"call":"send","what":"route","at":…,"took":…,"bytes":128,"messages":[[16,1],[19,2]]}
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
  /** The method of `Sys`; `send` and `receive` for netlink. */
  readonly call: string;
  /** The path, program or netlink protocol. */
  readonly what: string;
  readonly at: number;
  readonly took: number;
  /** The name of the errno, if the call failed. */
  readonly error?: string;
  /** Of a netlink datagram. */
  readonly bytes?: number;
  /** The types of the messages in a sent datagram, with the number of equal ones in a row. */
  readonly messages?: readonly (readonly [type: number, count: number])[];
}

/** Calls whose first argument says what they are about. */
const calls = [
  "readFile",
  "writeFile",
  "createFile",
  "replaceFile",
  "appendFile",
  "rename",
  "removeFile",
  "removeDir",
  "makeDirs",
  "listDir",
  "trustDirectory",
  "stat",
  "lock",
  "run",
  "exchange",
  "openNetns",
] as const satisfies readonly (keyof Sys)[];

export interface TraceTarget {
  readonly file: string;
  readonly plugin: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** `machine` with each call recorded. `exit` writes the trace; if that fails, the operation is not affected. */
export function tracedSys(machine: Sys, { file, plugin, environment }: TraceTarget): Sys {
  const pid = machine.pid();
  const now = () => Math.round(machine.monotonicMs() * 1e6);
  const start = cpuTimes(machine);
  const at = now();
  const lines: (TracedPhase | TracedCall)[] = [];
  let phase = { name: "input", at };

  const timed = <T>(call: string, what: string, body: () => T, more?: Pick<TracedCall, "bytes" | "messages">): T => {
    const begin = now();
    const done = (error?: string) => {
      const took = now() - begin;
      lines.push({ pid, call, what, at: begin, took, ...more, ...(error !== undefined && { error }) });
    };
    try {
      const result = body();
      done();
      return result;
    } catch (error) {
      done(String((error as { readonly code?: unknown }).code));
      throw error;
    }
  };
  const endPhase = () => {
    lines.push({ pid, phase: phase.name, at: phase.at, took: now() - phase.at });
  };
  const traceSocket = (protocol: string, socket: NetlinkSocket): NetlinkSocket => ({
    send: (datagram) =>
      timed("send", protocol, () => socket.send(datagram), {
        bytes: datagram.length,
        messages: messageTypes(datagram),
      }),
    receive: (timeoutMs) => timed("receive", protocol, () => socket.receive(timeoutMs)),
    close: () => timed("close", protocol, () => socket.close()),
  });

  const recorded = calls.map((call) => {
    const method = machine[call] as (...args: readonly unknown[]) => unknown;
    const whatOf = (subject: unknown) => (Array.isArray(subject) ? subject[0] : String(subject));
    return [call, (...args: readonly unknown[]) => timed(call, whatOf(args[0]), () => method(...args))];
  });
  return Object.assign(Object.create(machine) as Sys, Object.fromEntries(recorded), {
    readStdin: (maxBytes, timeoutMs) => timed("readStdin", "", () => machine.readStdin(maxBytes, timeoutMs)),
    sleepMs: (milliseconds) => timed("sleep", "", () => machine.sleepMs(milliseconds)),
    write: (stream, text) => timed("write", stream, () => machine.write(stream, text)),
    openNetlink: (protocol, netns) =>
      traceSocket(
        protocol,
        timed("socket", protocol, () => machine.openNetlink(protocol, netns)),
      ),
    phase(name) {
      const before = phase.name;
      endPhase();
      phase = { name, at: now() };
      return before;
    },
    exit(status) {
      endPhase();
      const { CNI_COMMAND: command = "", CNI_CONTAINERID: container = "", CNI_IFNAME: ifname = "" } = environment;
      const { cpu, wait } = cpuTimes(machine);
      const process: TracedProcess = {
        ...{ pid, plugin, command, container, ifname, at, end: now() },
        ...{ startCpu: start.cpu, startWait: start.wait, cpu, wait },
      };
      try {
        machine.appendFile(file, [process, ...lines].map((line) => `${JSON.stringify(line)}\n`).join(""), 0o600);
      } catch {
        // The operation has ended, and its result does not depend on the trace.
      }
      return machine.exit(status);
    },
  } satisfies Partial<Sys>);
}

/** Since the process was created. The second number of schedstat is the time of waiting; a kernel without CONFIG_SCHED_INFO has no such file. */
function cpuTimes(machine: Sys): { readonly cpu: number; readonly wait: number } {
  const cpu = Math.round(machine.cpuMs() * 1e6);
  try {
    return { cpu, wait: Number(machine.readFile("/proc/self/schedstat").split(" ")[1]) };
  } catch {
    return { cpu, wait: 0 };
  }
}

/** Each message begins with its length in 32 bits and its type in 16, in the byte order of the machine. */
function messageTypes(datagram: Uint8Array): readonly (readonly [number, number])[] {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const found: [number, number][] = [];
  for (let at = 0; at + 16 <= view.byteLength; ) {
    const type = view.getUint16(at + 4, true);
    const last = found.at(-1);
    if (last?.[0] === type) last[1]++;
    else found.push([type, 1]);
    at += Math.max(16, (view.getUint32(at, true) + 3) & ~3);
  }
  return found;
}
