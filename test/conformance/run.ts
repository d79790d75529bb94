/** Runs rows against a subject. */
import { PluginError } from "../lib/runner.ts";
import { DoesNotApply, type Outcome, type Row, Unmet } from "./row.ts";
import { Stage } from "./stage.ts";
import { has, type Subject } from "./subject.ts";

/** Throws what is neither of the plugins' doing nor of the machine's: a fault of the suite itself. */
export async function runRow(row: Row, subject: Subject): Promise<Outcome> {
  const { number } = row;
  const lacks = row.requires?.find((requirement) => !has(subject, requirement));
  if (lacks !== undefined) return { number, is: "does not apply", why: `not shipped: ${lacks}` };
  const stage = await Stage.open(subject);
  try {
    await row.run(stage);
    return { number, is: "pass", ...(stage.figure && { figure: stage.figure }) };
  } catch (error) {
    // A plugin that refuses what the row takes for granted does not do what the row says.
    if (error instanceof Unmet || error instanceof PluginError) return { number, is: "fail", why: error.message };
    if (error instanceof DoesNotApply) return { number, is: "does not apply", why: error.message };
    throw error;
  } finally {
    await stage.close();
  }
}
