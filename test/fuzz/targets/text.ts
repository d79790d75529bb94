/** Small languages: addresses, prefixes, MACs, names, selectors, CNI_ARGS. Accepted texts become canonical, which is accepted too. */

import { compileConditions, isIptablesStyle } from "../../../plugins/portmap/conditions.ts";
import { parseArgs, parsePath } from "../../../src/cni/args.ts";
import { isIdentifier } from "../../../src/cni/environment.ts";
import { CniError } from "../../../src/cni/error.ts";
import { parseSaved } from "../../../src/dataplane/iptables/programs.ts";
import { attachmentKey, ownerOf } from "../../../src/identity/attachment.ts";
import { InvalidRequest } from "../../../src/ipam/invalid-request.ts";
import { parseSelector } from "../../../src/ipam/model/selector.ts";
import { canonicalAddress, formatAddress, parseAddress } from "../../../src/net/address.ts";
import { interfaceNameFault } from "../../../src/net/interface-name.ts";
import { canonicalMac } from "../../../src/net/mac.ts";
import { canonicalPrefix, parsePrefix } from "../../../src/net/prefix.ts";
import { decodeUtf8, encodeUtf8 } from "../../../src/net/text.ts";
import { Input } from "../input.ts";
import { Finding, requireSame, tolerate } from "../judge.ts";

const readers: readonly ((text: string) => void)[] = [
  (text) => isFixed("address", text, canonicalAddress),
  (text) => isFixed("prefix", text, canonicalPrefix),
  (text) => isFixed("MAC", text, canonicalMac),
  (text) => {
    const bytes = parseAddress(text);
    if (bytes !== undefined) requireSame("formatAddress", [...(parseAddress(formatAddress(bytes)) ?? [])], [...bytes]);
    const prefix = parsePrefix(text);
    if (prefix !== undefined && prefix.length > prefix.bytes.length * 8) throw new Finding(`length of ${text}`);
  },
  (text) => tolerate([InvalidRequest], () => parseSelector(text)({ a: "b", "k8s.io/name": "x" })),
  (text) => {
    parseArgs(text);
    parsePath(text);
  },
  namesOf,
  (text) => requireSame("UTF-8", decodeUtf8(encodeUtf8(decodeUtf8(encodeUtf8(text)))), decodeUtf8(encodeUtf8(text))),
  (text) => {
    parseSaved(text);
  },
  (text) => {
    const words = text.split(" ");
    isIptablesStyle(words);
    tolerate([CniError], () => compileConditions("ip", words));
    tolerate([CniError], () => compileConditions("ip6", words));
  },
];

export function main(bytes: Uint8Array): void {
  const input = new Input(bytes);
  const read = input.pick(readers);
  read(input.text());
}

function isFixed(what: string, text: string, canonical: (text: string) => string | undefined): void {
  const one = canonical(text);
  if (one !== undefined) requireSame(`canonical ${what}`, canonical(one), one);
}

/** For valid identifiers, no file name leads to another directory and no alias is truncated. */
function namesOf(text: string): void {
  const [network = "", containerId = "", ifname = ""] = text.split(" ");
  if (!isIdentifier(network) || !isIdentifier(containerId) || interfaceNameFault(ifname) !== undefined) return;
  const attachment = { network, containerId, ifname };
  const key = attachmentKey(attachment);
  if (/[/\0]/.test(key) || key.startsWith(".") || encodeUtf8(key).length > 220) throw new Finding(`key ${key}`);
  const owner = ownerOf(attachment);
  if (encodeUtf8(owner).length > 255 || /[\0\n]/.test(owner)) throw new Finding(`owner ${owner}`);
}
