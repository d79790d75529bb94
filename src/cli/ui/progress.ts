/**
 * A sign of life on stderr from whatever takes long: on a terminal after a second, one line that is written over; elsewhere a line after five
 * seconds, and then a line a second.
 */

export interface Progress {
  /** What is being done from now on: `reading the store`. `total` when it is known. */
  begin(what: string, total?: number): void;
  /** One more is done. */
  tick(): void;
  /** Takes the line away. */
  end(): void;
}

const quietMs = { terminal: 1000, pipe: 5000 };
const betweenMs = { terminal: 100, pipe: 1000 };

export function stderrProgress(
  write: (text: string) => void,
  { isTerminal, nowMs }: { readonly isTerminal: boolean; readonly nowMs: () => number },
): Progress {
  let task: { readonly what: string; readonly total: number | undefined } | undefined;
  let done = 0;
  let nextMs = 0;
  let shown = false;
  const clear = () => {
    if (shown && isTerminal) write("\r\x1b[K");
    shown = false;
  };
  return {
    begin(what, total) {
      clear();
      task = { what, total };
      done = 0;
      nextMs = nowMs() + (isTerminal ? quietMs.terminal : quietMs.pipe);
    },
    tick() {
      done++;
      if (task === undefined || nowMs() < nextMs) return;
      nextMs = nowMs() + (isTerminal ? betweenMs.terminal : betweenMs.pipe);
      shown = true;
      const line = `tortie: ${task.what}: ${done}${task.total === undefined ? "" : ` of ${task.total}`}`;
      write(isTerminal ? `\r\x1b[K${line}` : `${line}\n`);
    },
    end() {
      clear();
      task = undefined;
    },
  };
}
