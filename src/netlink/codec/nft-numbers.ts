/**
 * nf_tables' numbers: messages, attributes and flags (linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h), and libnftnl's numbers of
 * user data.
 */

export const NFNL_SUBSYS_NFTABLES = 10;
export const NFNL_MSG_BATCH_BEGIN = 16;
export const NFNL_MSG_BATCH_END = 17;
export const NFNL_BATCH_GENID = 1;
export const AF_UNSPEC = 0;
/** `struct nfgenmsg`: family, version, resource id. */
export const nfHeaderLength = 4;

const subsystem = NFNL_SUBSYS_NFTABLES << 8;
export const NFT_MSG_NEWTABLE = subsystem | 0;
export const NFT_MSG_GETTABLE = subsystem | 1;
export const NFT_MSG_DELTABLE = subsystem | 2;
export const NFT_MSG_NEWCHAIN = subsystem | 3;
export const NFT_MSG_GETCHAIN = subsystem | 4;
export const NFT_MSG_DELCHAIN = subsystem | 5;
export const NFT_MSG_NEWRULE = subsystem | 6;
export const NFT_MSG_GETRULE = subsystem | 7;
export const NFT_MSG_DELRULE = subsystem | 8;
export const NFT_MSG_NEWSET = subsystem | 9;
export const NFT_MSG_GETSET = subsystem | 10;
export const NFT_MSG_DELSET = subsystem | 11;
export const NFT_MSG_NEWSETELEM = subsystem | 12;
export const NFT_MSG_GETSETELEM = subsystem | 13;
export const NFT_MSG_DELSETELEM = subsystem | 14;
export const NFT_MSG_NEWGEN = subsystem | 15;
export const NFT_MSG_GETGEN = subsystem | 16;

export const NFTA_TABLE_NAME = 1;
export const NFTA_TABLE_FLAGS = 2;
export const NFTA_TABLE_USE = 3;
export const NFTA_CHAIN_TABLE = 1;
export const NFTA_CHAIN_NAME = 3;
export const NFTA_CHAIN_HOOK = 4;
export const NFTA_CHAIN_POLICY = 5;
export const NFTA_CHAIN_USE = 6;
export const NFTA_CHAIN_TYPE = 7;
export const NFTA_HOOK_HOOKNUM = 1;
export const NFTA_HOOK_PRIORITY = 2;
export const NFTA_RULE_TABLE = 1;
export const NFTA_RULE_CHAIN = 2;
export const NFTA_RULE_EXPRESSIONS = 4;
export const NFTA_RULE_USERDATA = 7;
export const NFTA_SET_TABLE = 1;
export const NFTA_SET_NAME = 2;
export const NFTA_SET_FLAGS = 3;
export const NFTA_SET_KEY_TYPE = 4;
export const NFTA_SET_KEY_LEN = 5;
export const NFTA_SET_DATA_TYPE = 6;
export const NFTA_SET_DATA_LEN = 7;
export const NFTA_SET_DESC = 9;
export const NFTA_SET_ID = 10;
export const NFTA_SET_USERDATA = 13;
export const NFTA_SET_DESC_SIZE = 1;
export const NFTA_SET_ELEM_KEY = 1;
export const NFTA_SET_ELEM_DATA = 2;
export const NFTA_SET_ELEM_FLAGS = 3;
export const NFTA_SET_ELEM_USERDATA = 6;
export const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
export const NFTA_LIST_ELEM = 1;
export const NFTA_DATA_VALUE = 1;
export const NFTA_DATA_VERDICT = 2;
export const NFTA_VERDICT_CHAIN = 2;
export const NFTA_GEN_ID = 1;

export const NFT_SET_INTERVAL = 4;
export const NFT_SET_MAP = 8;
export const NFT_SET_ELEM_INTERVAL_END = 1;
export const NFT_DATA_VERDICT = 0xffffff00;
export const NF_ACCEPT = 1;
export const hooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;

/** User data of a set (libnftnl's `enum nftnl_udata_set_types`), then the only kind that other objects carry. */
export const setKeyByteOrder = 0;
export const setDataByteOrder = 1;
export const setComment = 7;
export const plainComment = 0;
