/** Finds syntax errors in JSON. YAML's parser, which accepts JSON too, would report flow maps. */

/** `expected ',' or '}' after property value at line 4, column 5`; `undefined` if the text is valid JSON, or was not meant as JSON. */
export function jsonFault(text: string): string | undefined {
  if (!/^\s*[{[]\s*(["{[\]}]|$)/.test(text)) return undefined;
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return faultIn(text, (error as Error).message);
  }
}

/** Node's versions word it differently: with a position, with line and column too, or with a part of the text. */
function faultIn(text: string, message: string): string {
  const reason = message.replace(/( in JSON at position \d+.*|, ".*is not valid JSON)$/s, "");
  const at = /position (\d+)/.exec(message)?.[1];
  const end = reason === "Unexpected end of JSON input" ? text.trimEnd().length : undefined;
  const position = end ?? (at === undefined ? undefined : Number(at));
  const lower = reason.charAt(0).toLowerCase() + reason.slice(1);
  return position === undefined ? lower : `${lower} at ${placeOf(text, position)}`;
}

function placeOf(text: string, position: number): string {
  const lines = text.slice(0, position).split("\n");
  return `line ${lines.length}, column ${(lines.at(-1)?.length ?? 0) + 1}`;
}
