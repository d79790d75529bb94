/** Route look-ups: asks the kernel where packets would go, a whole batch with one program. */
import * as z from "zod";
import { type Family, familyOf } from "../../../net/address.ts";
import type { Cli } from "../../cli.ts";
import { kernelsWords } from "../../node/iproute.ts";
import type { Refusal, RouteLookup } from "./facts.ts";

export interface Question {
  readonly to: string;
  /** The source address; absent: the node itself sends it. */
  readonly from?: string;
  /** The interface at which it arrives; requires `from`. */
  readonly iif?: string;
}

const answers = z.array(
  z.object({
    dev: z.string().optional(),
    gateway: z.string().optional(),
    table: z.string().optional(),
    prefsrc: z.string().optional(),
  }),
);

const patienceMs = 20_000;

/** In the order of the questions. Throws `Error` if the output of `ip` is not as expected. */
export async function lookUp(cli: Cli, questions: readonly Question[]): Promise<readonly RouteLookup[]> {
  const found = new Array<RouteLookup>(questions.length).fill({ kind: "unasked" });
  const ofFamily = async (family: Family) => {
    const indices = questions.flatMap(({ to }, index) => (familyOf(to) === family ? [index] : []));
    if (indices.length === 0) return;
    const lines = indices.map((index) => `route get ${argumentsOf(questions[index] as Question)}\n`).join("");
    const argv = ["ip", "-j", `-${family}`, "-force", "-batch", "-"];
    const { stdout, stderr } = await cli.execute(argv, { env: {}, stdin: lines, timeoutMs: patienceMs });
    for (const [at, lookup] of readBatch(stdout, stderr, indices.length).entries()) found[indices[at] ?? -1] = lookup;
  };
  await Promise.all([ofFamily(4), ofFamily(6)]);
  return found;
}

function argumentsOf({ to, from, iif }: Question): string {
  return [to, ...(from === undefined ? [] : ["from", from]), ...(iif === undefined ? [] : ["iif", iif])].join(" ");
}

/**
 * One list on stdout for each answered line; two lines on stderr for each refused one:
 *
 *     RTNETLINK answers: No route to host
 *     Command failed -:2
 */
export function readBatch(stdout: string, stderr: string, count: number): readonly RouteLookup[] {
  const refused = new Map<number, string>();
  let words = "";
  for (const line of stderr.split("\n")) {
    const failed = /^Command failed .*:(\d+)$/.exec(line)?.[1];
    if (failed === undefined) words = kernelsWords(line) || words;
    else refused.set(Number(failed), words);
  }
  const lists = stdout.split("\n").filter((line) => line.startsWith("[{"));
  if (lists.length + refused.size !== count)
    throw new Error(`ip answered ${lists.length} of ${count}: ${stderr.trim()}`);
  let next = 0;
  return Array.from({ length: count }, (_, index): RouteLookup => {
    const reason = refused.get(index + 1);
    if (reason !== undefined) return { kind: "refused", reason: refusalOf(reason) };
    const [answer] = answers.parse(JSON.parse(lists[next++] ?? "[]"));
    if (answer?.dev === undefined) return { kind: "refused", reason: "unreachable network" };
    return { kind: "route", dev: answer.dev, gateway: answer.gateway, table: answer.table, source: answer.prefsrc };
  });
}

/** By the text of strerror(3). The reverse path filter reports EINVAL, or EXDEV on kernels before 6.14. */
function refusalOf(words: string): Refusal {
  if (words.includes("No route to host")) return "unreachable host";
  if (words.includes("Network is unreachable")) return "unreachable network";
  if (words.includes("Permission denied")) return "prohibited";
  return "invalid";
}
