/** kubectl's label selectors (`-l`): requirements separated by commas, all of which must match. */
import { CliError, exitStatus } from "../error.ts";

type Labels = Readonly<Record<string, string>>;

/** `zone=a`, `zone==a`, `zone!=a`, `zone`, `!zone`. Throws `CliError` 2. */
export function parseLabels(text: string): (labels: Labels) => boolean {
  const requirements = text.split(",").map((part) => parseRequirement(part.trim(), text));
  return (labels) => requirements.every((holds) => holds(labels));
}

function parseRequirement(part: string, whole: string): (labels: Labels) => boolean {
  const [, absent, key = "", operator, value = ""] = /^(!?)([\w./-]+)(?:\s*(==?|!=)\s*([\w.-]*))?$/.exec(part) ?? [];
  if (key === "" || (absent === "!" && operator !== undefined)) {
    const forms = 'wanted "key=value", "key!=value", "key" or "!key", with commas between them';
    throw new CliError(`cannot select by "${whole}": ${forms}`, exitStatus.usage);
  }
  if (operator === undefined) return (labels) => Object.hasOwn(labels, key) === (absent === "");
  return (labels) => (Object.hasOwn(labels, key) && labels[key] === value) === (operator !== "!=");
}
