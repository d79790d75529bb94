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

const { attachmentOfRule, portmapComment, portmapCommentPrefix, ...namesOfPortmapObjects } = namesOfPortmap;

test("persistent names are unchanged, so that an upgrade finds and removes objects of an older release", () => {
  expect({
    ...names,
    ...namesOfCalico,
    ...namesOfPortmapObjects,
    guardComment,
    owner: ownerOf(attachment),
    key: attachmentKey(attachment),
    ownerSet: ownerSetPrefix,
    comments: [
      portmapComment(attachment),
      portmapComment({ ...attachment, ifname: "net1" }),
      portmapCommentPrefix("net1"),
    ],
    ifb: ifbName(attachment),
    table: tableOf("net1"),
    iptables: [dnatChain, markChain, masqueradeChain],
  }).toMatchSnapshot();
});

test("attachmentOfRule() reads the owner of a rule that iptables-save prints", () => {
  for (const ifname of ["eth0", "net1"]) {
    const one = { ...attachment, ifname };
    const printed = portmapComment(one).replaceAll('"', '\\"');
    expect(printed.startsWith(portmapCommentPrefix("net1").slice(1))).toBe(true);
    expect(attachmentOfRule(`-A CNI-HOSTPORT-DNAT -m comment --comment "${printed}" -j CNI-DN-1`)).toEqual(one);
  }
  expect(attachmentOfRule("-A POSTROUTING -j MASQUERADE")).toBeUndefined();
});

test("files and tables keep their places", () => {
  const node = new FakeNode();
  node.sandbox("c1");
  node.run("ADD", { conf: { ipam: { type: "calico-ipam", assign_ipv6: "true", ipv6_pools: ["fd00:1::/64"] } } });
  const files = node.machine.files.print().match(/^\/(?:run|var)\/\S*\.(?:json|lock)/gm);
  expect([files?.sort(), node.nft.print()]).toMatchSnapshot();
});
