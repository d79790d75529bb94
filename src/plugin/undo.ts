/** The roll-back steps of one operation. */
import type { Logger } from "../log/logger.ts";

export interface UndoStack {
  push(what: string, action: () => void): void;
  /** Runs all steps, last first. Logs errors and continues. */
  run(log: Logger): void;
}

export function undoStack(): UndoStack {
  const steps: { readonly what: string; readonly action: () => void }[] = [];
  return {
    push: (what, action) => {
      steps.push({ what, action });
    },
    run(log) {
      for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
        const { what, action } = step;
        try {
          action();
          log.debug("undone", () => ({ what }));
        } catch (error) {
          log.warning("cannot undo", () => ({ what, error: String(error) }));
        }
      }
    },
  };
}
