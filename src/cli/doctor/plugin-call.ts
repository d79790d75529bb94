/** A call of a plugin's executable: as environment and document, and as a shell command. */
import type { ReportedDifference } from "../../plugin/differences.ts";
import type { Cli, Executed } from "../cli.ts";
import type { Finding, PluginCall } from "./finding.ts";

/** Longer than a plugin waits for a lock. */
const timeoutMs = 70_000;

export function environmentOf({ command, attachment, netns, args, pluginPath }: PluginCall): Record<string, string> {
  return {
    CNI_COMMAND: command,
    ...(attachment && { CNI_CONTAINERID: attachment.containerId, CNI_IFNAME: attachment.ifname }),
    ...(netns !== undefined && { CNI_NETNS: netns }),
    ...(args !== undefined && { CNI_ARGS: args }),
    CNI_PATH: pluginPath,
  };
}

export function callPlugin(cli: Cli, call: PluginCall, patienceMs: number = timeoutMs): Promise<Executed> {
  const options = { env: environmentOf(call), stdin: JSON.stringify(call.document), timeoutMs: patienceMs };
  return cli.execute([call.path], options);
}

export interface PluginFault {
  readonly code: number;
  /** With the details, if they are text. */
  readonly message: string;
  /** The details of our CHECK: the differences. */
  readonly differences: readonly ReportedDifference[] | undefined;
  /** Ended without the answer that the protocol demands. */
  readonly crashed: boolean;
}

/** The error that a plugin printed; `undefined` if it succeeded. */
export function faultOfPlugin({ status, stdout, stderr }: Executed): PluginFault | undefined {
  try {
    const { code, msg, details } = JSON.parse(stdout) as { code?: unknown; msg?: unknown; details?: unknown };
    if (typeof code === "number" && typeof msg === "string") {
      const differences = differencesIn(details);
      const words = typeof details === "string" && details !== "" && differences === undefined ? `: ${details}` : "";
      return { code, message: `${msg}${words}`, differences, crashed: false };
    }
  } catch {
    // No answer, or one that is not JSON: the exit code decides.
  }
  if (status === 0) return undefined;
  // A stack trace begins with what went wrong.
  const [words = ""] = (stdout.trim() || stderr.trim()).slice(0, 200).split("\n");
  const message = `exit status ${status ?? "none"}${words === "" ? "" : `: ${words}`}`;
  return { code: 100, message, differences: undefined, crashed: true };
}

/** `undefined` for details that are text or foreign. */
function differencesIn(details: unknown): readonly ReportedDifference[] | undefined {
  try {
    const list: unknown = JSON.parse(String(details));
    const isOne = (one: unknown): one is ReportedDifference =>
      typeof one === "object" && one !== null && "kind" in one && "text" in one;
    return Array.isArray(list) && list.every(isOne) ? list : undefined;
  } catch {
    return undefined;
  }
}

export function commandLine(call: PluginCall): string {
  const environment = Object.entries(environmentOf(call)).map(([name, value]) => `${name}=${quote(value)}`);
  return `echo ${quote(JSON.stringify(call.document))} | ${environment.join(" ")} ${quote(call.path)}`;
}

/** The same for a chain: each call gets the result of the one before. */
export function chainLines(calls: readonly PluginCall[]): string {
  const [first, ...rest] = calls;
  if (first === undefined) return "";
  const handed = rest.map((call) => {
    const document = JSON.stringify(call.document).slice(0, -1);
    return commandLine(call).replace(
      /^echo .* \| (?=CNI_)/s,
      () => `echo ${quote(`${document},"prevResult":`)}"$r"'}' | `,
    );
  });
  const lines = [commandLine(first), ...handed];
  return lines.map((line, index) => (index < lines.length - 1 ? `r=$(${line})` : line)).join("\n");
}

/** A fix that runs programs, and its remedy as shell commands. `does`: a description, if the commands are long. */
export function byPrograms(argvs: readonly (readonly string[])[], does?: string): Pick<Finding, "remedy" | "fix"> {
  const remedy = argvs.map((argv) => argv.map(quote).join(" ")).join("\n");
  return { remedy, fix: { kind: "programs", argvs, ...(does !== undefined && { does }) } };
}

/** Quotes a word for a shell. */
export function quote(word: string): string {
  return /^[\w.,:/@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
