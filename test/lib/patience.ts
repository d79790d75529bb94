/**
 * How much longer than on an ordinary machine a test waits before it gives up. Emulated processors are some twenty times slower: `TORTIE_PATIENCE=20`. No
 * time is measured or asserted by it.
 */
export const patience = Number(process.env.TORTIE_PATIENCE ?? 1);
