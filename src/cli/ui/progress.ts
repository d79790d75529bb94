/**
 * Reports the progress of long operations on stderr: on a terminal, after a second, on one line that is overwritten; elsewhere on a line after five
 * seconds, and then on one every second.
 */

export interface Progress {
  /** Begins a step: `reading the store`. `total`: the number of its items, if known. */
  begin(what: string, total?: number): void;
  /** Counts one finished item. */
  tick(): void;
  /** Removes the line. */
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
