/** What the output may look like. */

export interface Terminal {
  /** Tables have borders on a terminal and none in a pipe, where `awk` reads them. */
  readonly isTerminal: boolean;
  readonly columns: number;
  readonly colours: boolean;
}

const defaultColumns = 80;

/** `NO_COLOR` (no-color.org) and a dumb terminal turn colours off. */
export function terminalOf(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  environment: Readonly<Record<string, string | undefined>>,
): Terminal {
  const isTerminal = stream.isTTY === true;
  const wanted = Number(environment.COLUMNS);
  const columns = Number.isInteger(wanted) && wanted > 0 ? wanted : (stream.columns ?? defaultColumns);
  const plain = (environment.NO_COLOR ?? "") !== "" || environment.TERM === "dumb";
  return { isTerminal, columns, colours: isTerminal && !plain };
}
