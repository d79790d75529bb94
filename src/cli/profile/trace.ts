/** Reads the trace that plugins write if `TORTIE_TRACE` is set. */
import * as z from "zod";
import type { TracedCall, TracedPhase, TracedProcess } from "../../host/traced-sys.ts";

const time = z.number().nonnegative();
const of = { pid: z.number(), at: time };

const lineSchema = z.union([
  z.object({ ...of, call: z.string(), what: z.string(), took: time }).extend({
    error: z.string().optional(),
    messages: z.array(z.number()).optional(),
  }),
  z.object({ ...of, phase: z.string(), took: time }),
  z.object({
    ...of,
    plugin: z.string(),
    // Absent if the runtime did not set the variable: `plugin --version`.
    ...{ command: z.string().default(""), container: z.string().default(""), ifname: z.string().default("") },
    ...{ end: time, startCpu: time, startWait: time, cpu: time, wait: time },
  }),
]);

/** A process with its phases and calls, in the order of time. */
export interface ProcessTrace extends TracedProcess {
  readonly phases: readonly TracedPhase[];
  readonly calls: readonly TracedCall[];
}

/** One operation on an attachment: the processes of its chain, in the order of their starts. */
export interface Operation {
  readonly command: string;
  readonly container: string;
  readonly ifname: string;
  readonly processes: readonly ProcessTrace[];
}

/** Throws `Error` naming the first invalid line. */
export function readTrace(text: string): readonly ProcessTrace[] {
  const found: ProcessTrace[] = [];
  let current: { readonly pid: number; readonly phases: TracedPhase[]; readonly calls: TracedCall[] } | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    if (line === "") continue;
    const parsed = parseLine(line, index + 1);
    if ("plugin" in parsed) {
      current = { pid: parsed.pid, phases: [], calls: [] };
      found.push({ ...parsed, ...current });
    } else if (current?.pid !== parsed.pid) throw new Error(`line ${index + 1} belongs to no process`);
    else if ("phase" in parsed) current.phases.push(parsed);
    else current.calls.push(parsed as TracedCall);
  }
  return found;
}

function parseLine(line: string, number: number): z.infer<typeof lineSchema> {
  try {
    return lineSchema.parse(JSON.parse(line));
  } catch {
    throw new Error(`line ${number} is not a line of a trace`);
  }
}

/**
 * Groups processes by attachment and command. Another run of a plugin that the operation already contains begins a new operation: a repeated ADD has the
 * same attachment.
 */
export function operationsOf(processes: readonly ProcessTrace[]): readonly Operation[] {
  const operations: (Operation & { readonly processes: ProcessTrace[] })[] = [];
  for (const process of [...processes].sort((one, other) => one.at - other.at)) {
    const { command, container, ifname, plugin } = process;
    const open = [...operations]
      .reverse()
      .find(
        (one) =>
          one.command === command &&
          one.container === container &&
          one.ifname === ifname &&
          !one.processes.some((earlier) => earlier.plugin === plugin),
      );
    if (open === undefined) operations.push({ command, container, ifname, processes: [process] });
    else open.processes.push(process);
  }
  return operations;
}
