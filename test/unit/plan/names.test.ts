import { expect, test } from "vitest";
import { ifbName } from "../../../plugins/bandwidth/shaping.ts";
import * as namesOfCalico from "../../../plugins/calico/names.ts";
import { tableOf } from "../../../plugins/calico/routes.ts";
import { dnatChain, markChain, masqueradeChain } from "../../../plugins/portmap/iptables-rules.ts";
import * as namesOfPortmap from "../../../plugins/portmap/names.ts";
import { attachmentKey, ownerOf } from "../../../src/identity/attachment.ts";
import * as names from "../../../src/identity/names.ts";
import { guardComment } from "../../../src/plan/loopback-guard.ts";
import { ownerSetPrefix } from "../../../src/plan/nft-owner.ts";
import { FakeNode } from "../../lib/fake/node.ts";

const attachment = { network: "net1", containerId: "c1", ifname: "eth0" };

test("persistent names are unchanged, so that an upgrade finds and removes objects of an older release", () => {
  expect({
    ...names,
    ...namesOfCalico,
    ...namesOfPortmap,
    guardComment,
    owner: ownerOf(attachment),
    key: attachmentKey(attachment),
    ownerSet: ownerSetPrefix,
    ifb: ifbName(attachment),
    table: tableOf("net1"),
    iptables: [dnatChain, markChain, masqueradeChain],
  }).toMatchSnapshot();
});

test("files and tables keep their places", () => {
  const node = new FakeNode();
  node.sandbox("c1");
  node.run("ADD", { conf: { ipam: { type: "calico-ipam", assign_ipv6: "true", ipv6_pools: ["fd00:1::/64"] } } });
  const files = node.machine.files.print().match(/^\/(?:run|var)\/\S*\.(?:json|lock)/gm);
  expect([files?.sort(), node.nft.print()]).toMatchSnapshot();
});
