/** **A failure to log never makes an operation fail**: a full disk or a closed stderr only loses lines. */
export function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // There is no place left to report it.
  }
}
