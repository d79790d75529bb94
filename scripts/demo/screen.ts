/** The demo's output: numbered steps, commands with their output, results. Colours on a terminal only (https://no-color.org). */
const colours = process.stdout.isTTY && !process.env.NO_COLOR;
let steps = 0;

export function say(text: string): void {
  console.log(text);
}

export function step(title: string): void {
  say(`\n${bold(`${++steps}. ${title}`)}`);
}

/** Prints the result of an expectation; throws if it was not met, which ends the demo. */
export function expected(good: boolean, text: string): void {
  say(`  ${good ? green("ok") : red("no")}  ${text}`);
  if (!good) throw new Error(`step ${steps} failed`);
}

/** A command as you would type it. */
export function prompt(where: string, script: string): void {
  say(`  ${dim("|")} ${dim(`${where} #`)} ${fromHere(script)}`);
}

/** The output of a command. */
export function output(text: string): void {
  for (const line of fromHere(text).trimEnd().split("\n")) say(`  ${dim("|")} ${line}`);
}

export function bold(text: string): string {
  return styled(text, 1, 22);
}

export function red(text: string): string {
  return styled(text, 31, 39);
}

function dim(text: string): string {
  return styled(text, 2, 22);
}

function green(text: string): string {
  return styled(text, 32, 39);
}

/** Shortens the project's paths to what you would type in its directory. */
function fromHere(text: string): string {
  return text.replaceAll(`${process.cwd()}/`, "");
}

/** SGR codes (ECMA-48, 8.3.117) that switch a style on and off. */
function styled(text: string, on: number, off: number): string {
  return colours ? `\u001b[${on}m${text}\u001b[${off}m` : text;
}
