/** Runs rows against a subject. */
import { PluginError } from "../lib/runtimes/runner.ts";
import { DoesNotApply, type Outcome, type Row, Unmet } from "./row.ts";
import { Stage } from "./stage.ts";
import { has, type Subject, withBackend } from "./subject.ts";

/** Throws errors that neither the plugins nor the machine caused: faults of the suite itself. */
export async function runRow(row: Row, subject: Subject): Promise<Outcome> {
  const { number } = row;
  const lacks = row.requires?.find((requirement) => !has(subject, requirement));
  if (lacks !== undefined) return { number, is: "does not apply", why: `not shipped: ${lacks}` };
  const backends = row.everyBackend ? subject.portmapBackends : [];
  let last: Outcome = { number, is: "pass" };
  for (const variant of backends.length > 0 ? backends.map((one) => withBackend(subject, one)) : [subject]) {
    last = await runOn(row, variant);
    if (last.is !== "pass") return last;
  }
  return last;
}

/** Runs each row on a fresh node. */
async function runOn(row: Row, subject: Subject): Promise<Outcome> {
  const { number } = row;
  const stage = await Stage.open(subject);
  try {
    await row.run(stage);
    return { number, is: "pass", ...(stage.figure && { figure: stage.figure }) };
  } catch (error) {
    const [backend] = row.everyBackend ? subject.portmapBackends : [];
    const why = `${backend === undefined ? "" : `${backend}: `}${(error as Error).message}`;
    // A plugin that refuses what the row takes for granted does not have its behaviour.
    if (error instanceof Unmet || error instanceof PluginError) return { number, is: "fail", why };
    if (error instanceof DoesNotApply) return { number, is: "does not apply", why };
    throw error;
  } finally {
    await stage.close();
  }
}
