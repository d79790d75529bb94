/** The persistent names of `ptp`. Never change: upgrades depend on it. */

/** The table of masquerading, in families `ip` and `ip6`. */
export const ptpTable = "tortie_ptp";
/** How the name of a host interface begins; the reference's begins so too, with random digits behind. */
export const vethPrefix = "veth";
