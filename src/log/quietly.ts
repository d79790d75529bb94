/** **Failing to log never fails an operation**: a full disk or a closed stderr costs lines. */
export function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // There is no place left to say it.
  }
}
