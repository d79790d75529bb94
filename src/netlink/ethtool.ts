/** Features of links over generic netlink: `ethtool -K` (linux/ethtool_netlink.h, Linux 5.6; linux/genetlink.h). */
import { type Attributes, listAttributes, readAttributes, stringOf, u16Of } from "./codec/attribute.ts";
import { AttributeWriter } from "./codec/attribute-writer.ts";
import { NLM_F_ACK, type Reply, type Request } from "./message.ts";

/** GENL_ID_CTRL: the family that knows the numbers of the others. */
const controlFamily = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const ETHTOOL_MSG_FEATURES_GET = 11;
const ETHTOOL_MSG_FEATURES_SET = 12;
const ETHTOOL_A_FEATURES_HEADER = 1;
const ETHTOOL_A_FEATURES_WANTED = 3;
const ETHTOOL_A_FEATURES_ACTIVE = 4;
const ETHTOOL_A_HEADER_DEV_INDEX = 1;
const ETHTOOL_A_BITSET_BITS = 3;
const ETHTOOL_A_BITSET_BITS_BIT = 1;
const ETHTOOL_A_BITSET_BIT_NAME = 2;
const headerLength = 4;

/** Asks for the number of the family; `ENOENT` before Linux 5.6. */
export function getEthtoolFamily(): Request {
  const writer = new AttributeWriter().octets(CTRL_CMD_GETFAMILY, 1, 0, 0).string(CTRL_ATTR_FAMILY_NAME, "ethtool");
  return { type: controlFamily, flags: NLM_F_ACK, payload: writer.finish() };
}

/** Throws `MalformedError`. */
export function readFamily({ payload }: Reply): number | undefined {
  const id = readAttributes(payload, headerLength).get(CTRL_ATTR_FAMILY_ID);
  return id && u16Of(id);
}

export function getFeatures(family: number, index: number): Request {
  return { type: family, flags: NLM_F_ACK, payload: featuresOf(ETHTOOL_MSG_FEATURES_GET, index).finish() };
}

/** `ethtool -K LINK NAME off`. The kernel answers with what it then has, and with success if it keeps the feature. */
export function disableFeature(family: number, index: number, name: string): Request {
  const writer = featuresOf(ETHTOOL_MSG_FEATURES_SET, index);
  // A bit without a value is to be cleared, one that is not in the list stays.
  writer.nest(ETHTOOL_A_FEATURES_WANTED, () => {
    writer.nest(ETHTOOL_A_BITSET_BITS, () => {
      writer.nest(ETHTOOL_A_BITSET_BITS_BIT, () => writer.string(ETHTOOL_A_BITSET_BIT_NAME, name));
    });
  });
  return { type: family, flags: NLM_F_ACK, payload: writer.finish() };
}

/** Whether a feature is active, in the answer to `getFeatures`. Throws `MalformedError`. */
export function hasFeature({ payload }: Reply, name: string): boolean {
  const active = readAttributes(payload, headerLength).get(ETHTOOL_A_FEATURES_ACTIVE);
  const bits = active && readAttributes(active).get(ETHTOOL_A_BITSET_BITS);
  return bits !== undefined && listAttributes(bits).some(({ value }) => nameIn(readAttributes(value)) === name);
}

function nameIn(bit: Attributes): string | undefined {
  const name = bit.get(ETHTOOL_A_BITSET_BIT_NAME);
  return name && stringOf(name);
}

/** cmd, version, reserved; then the link. */
function featuresOf(command: number, index: number): AttributeWriter {
  const writer = new AttributeWriter().octets(command, 1, 0, 0);
  return writer.nest(ETHTOOL_A_FEATURES_HEADER, () => writer.u32(ETHTOOL_A_HEADER_DEV_INDEX, index));
}
