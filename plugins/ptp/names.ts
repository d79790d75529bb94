/** The persistent names of `ptp`. Never change: upgrades depend on it. */

/** The table of masquerading, in families `ip` and `ip6`. */
export const ptpTable = "tortie_ptp";
/** The prefix of a host interface's name; the reference plugin has the same, followed by random digits. */
export const vethPrefix = "veth";
