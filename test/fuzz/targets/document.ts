/** stdin: the protocol's keys, each plugin's configuration, results of every version. Returns a value or throws a `CniError`. */
import { parseConf as bandwidth } from "../../../plugins/bandwidth/conf.ts";
import { parseConf as calico } from "../../../plugins/calico/conf.ts";
import { parseConf as calicoIpam } from "../../../plugins/calico-ipam/conf.ts";
import { parseConf as portmap } from "../../../plugins/portmap/conf.ts";
import { parseResult, resultAs } from "../../../src/cni/convert.ts";
import { networkOf, parseDocument, versionOf } from "../../../src/cni/document.ts";
import { commands } from "../../../src/cni/environment.ts";
import { CniError } from "../../../src/cni/error.ts";
import { supportedVersions } from "../../../src/cni/version.ts";
import { logOptions } from "../../../src/log/options.ts";
import { Input } from "../input.ts";
import { requireSame, tolerate } from "../judge.ts";

export function main(bytes: Uint8Array): void {
  const input = new Input(bytes);
  const command = input.pick(commands);
  const version = input.pick(supportedVersions);
  const other = input.pick(supportedVersions);
  const text = input.text();
  tolerate([CniError], () => {
    const { document, keys } = parseDocument(text);
    logOptions(keys);
    tolerate([CniError], () => networkOf(keys));
    tolerate([CniError], () => versionOf(keys, command));
    for (const parse of [bandwidth, calico, calicoIpam, portmap]) tolerate([CniError], () => parse(document));
    for (const found of [document, keys.prevResult]) {
      tolerate([CniError], () => {
        const result = parseResult(found, version, "prevResult");
        const printed = resultAs(result, other);
        requireSame("a result read again", resultAs(parseResult(printed, other, "result"), other), printed);
      });
    }
  });
}
