/** Which addresses are assigned, and how many. */
import type { JsonObject } from "../../lib/conflist.ts";
import { ping } from "../../lib/node/traffic.ts";
import type { CniResult } from "../../lib/runtimes/runner.ts";
import { onlyMain, withRanges } from "../chains.ts";
import type { Range } from "../dialect.ts";
import { accepted, refused, resultOf, silent } from "../judge.ts";
import { addressesOf } from "../results.ts";
import { about, DoesNotApply, type Section, want } from "../row.ts";
import type { Answer, Pod, Stage } from "../stage.ts";
import type { Part } from "../subject.ts";

export const ipam: Section = {
  title: "IPAM",
  rows: [
    {
      number: 122,
      title: "the first address from a new range is inside the range, and usable",
      note: ".2 is for host-local; a pool with routed pods has no network, broadcast or gateway address",
      run(stage) {
        const list = onlyMain(withRanges(stage.subject, "10.33.0.0/24"));
        const result = stage.add(stage.newPod(), list);
        want(/^10\.33\.0\.\d+$/.test(addressesOf(result)[0] ?? ""), "an address of 10.33.0.0/24", result);
        wantUsable(stage, result);
      },
    },
    {
      number: 123,
      title: "an address that was just released is not assigned next",
      run(stage) {
        const part = ipamWith(stage, "10.33.0.0/24");
        const first = take(stage, part);
        silent(stage.ask(part, { command: "DEL", pod: first.pod }));
        const second = take(stage, part);
        want(first.addresses[0] !== second.addresses[0], `another address than ${first.addresses}`, second.addresses);
      },
    },
    {
      number: 124,
      title: "a range is assigned completely, each address once, and then released addresses again",
      run(stage) {
        const part = ipamWith(stage, "10.33.0.0/29");
        const { taken, refusal } = fill(stage, part, 9);
        want(taken.length >= 5, "five addresses of a /29 at least", taken.length);
        refused(refusal);
        const [, second] = taken;
        if (second === undefined) return;
        silent(stage.ask(part, { command: "DEL", pod: second.pod }));
        const again = take(stage, part);
        want(again.addresses.join() === second.addresses.join(), `${second.addresses} again`, again.addresses);
        refused(stage.ask(part, { pod: stage.newPod() }));
      },
    },
    {
      number: 125,
      title: "no unusable address is assigned: not the gateway, network or broadcast address",
      note: "depends on how the main plugin uses it: /32 has no network and no broadcast address",
      run(stage) {
        const list = onlyMain(withRanges(stage.subject, "10.33.0.0/28"));
        for (let turn = 0; turn < 16; turn++) {
          const answer = stage.each("ADD", stage.newPod(), {}, list)[0] as Answer;
          if (answer.status !== 0) return void want(turn >= 13, "13 addresses of a /28 at least", turn);
          wantUsable(stage, resultOf(answer));
        }
      },
    },
    {
      number: 126,
      title: "two families: an address of each, or none if one family is exhausted",
      run(stage) {
        const part = ipamWith(stage, "10.33.0.0/29", { one: "fd00:33::9" });
        const first = take(stage, part);
        const families = first.addresses.map((address) => (address.includes(":") ? 6 : 4));
        want(families.join() === "4,6", "an IPv4 and an IPv6 address", first.addresses);
        const before = stage.look();
        // More than a /29 has: an address that one of them kept would be missing at the end.
        const others = Array.from({ length: 9 }, () => stage.newPod());
        for (const pod of others) refused(stage.ask(part, { pod }));
        stage.wantNothingLeft(before, others);
        silent(stage.ask(part, { command: "DEL", pod: first.pod }));
        accepted(stage.ask(part, { pod: stage.newPod() }));
      },
    },
    {
      number: 127,
      title: "a requested address is assigned; one in use, of the gateway or outside the range is rejected",
      run(stage) {
        const part = ipamWith(stage, "10.33.0.0/26");
        const { result } = take(stage, part);
        const before = stage.look();
        const ways: readonly (readonly [string, (address: string) => Wish])[] = [
          ["runtimeConfig.ips", (address) => ({ request: { runtimeConfig: { ips: [`${address}/24`] } } })],
          ["args.cni.ips", (address) => ({ request: { args: { cni: { ips: [address] } } } })],
          ["CNI_ARGS", (address) => ({ env: { CNI_ARGS: `IgnoreUnknown=1;IP=${address}` } })],
        ];
        for (const [index, [what, wish]] of ways.entries()) {
          about(what, () => {
            const address = `10.33.0.${33 + index}`;
            const pod = stage.newPod();
            const given = addressesOf(resultOf(stage.ask(part, { pod, ...wish(address) })));
            want(given.join() === address, address, given);
            const bad = [address, "10.99.0.1", "10.33.0", ...(result.ips?.[0]?.gateway ? ["10.33.0.1"] : [])];
            const others = bad.map((one) => {
              const other = stage.newPod();
              about(one, () => refused(stage.ask(part, { pod: other, ...wish(one) })));
              return other;
            });
            silent(stage.ask(part, { command: "DEL", pod, ...wish(address) }));
            stage.wantNothingLeft(before, [pod, ...others]);
          });
        }
      },
    },
    {
      number: 128,
      title: "the capability ipRanges takes precedence over the configured ranges",
      run(stage) {
        if (stage.subject.dialect?.takesIpRanges !== true) {
          throw new DoesNotApply(`ipRanges is no capability of ${stage.part("ipam").type}`);
        }
        const part = ipamWith(stage, "10.33.0.0/24");
        const request = { runtimeConfig: { ipRanges: [[{ subnet: "10.66.0.0/24" }]] } };
        const given = addressesOf(resultOf(stage.ask(part, { pod: stage.newPod(), request })));
        want(given[0]?.startsWith("10.66.0.") === true, "an address of 10.66.0.0/24 first", given);
      },
    },
    {
      number: 129,
      title: "fifty concurrent ADDs get fifty addresses, and fifty DELs release them",
      async run(stage) {
        const part = ipamWith(stage, "10.33.0.0/24");
        silent(stage.ask(part, { command: "DEL", pod: take(stage, part).pod }));
        const clean = stage.look();
        const pods = Array.from({ length: 50 }, () => stage.newPod());
        const answers = await Promise.all(pods.map((pod) => stage.askBeside(part, { pod })));
        const addresses = new Set(answers.flatMap((answer) => addressesOf(resultOf(answer))));
        want(addresses.size === pods.length, "50 different addresses", addresses.size);
        const gone = await Promise.all(pods.map((pod) => stage.askBeside(part, { command: "DEL", pod })));
        gone.forEach(silent);
        stage.wantNothingLeft(clean, pods);
      },
    },
    {
      number: 130,
      title: "host-local: one file per address, with container and interface, and one for the last address",
      requires: ["host-local"],
      run(stage) {
        const part = ipamWith(stage, "10.33.0.0/24");
        const { pod, addresses } = take(stage, part);
        const directory = `/var/lib/cni/networks/${stage.list.name}`;
        const names = stage.sh(`ls ${directory}`).trim().split("\n").sort();
        want(names.join() === ["lock", "last_reserved_ip.0", ...addresses].sort().join(), "the files", names);
        const text = stage.sh(`cat ${directory}/${addresses[0]}`);
        want(text === `${pod.containerId}\r\n${pod.ifname}`, "container ID and interface", JSON.stringify(text));
      },
    },
    {
      number: 131,
      title: "host-local: DEL releases a file that contains only a container ID",
      requires: ["host-local"],
      run(stage) {
        const part = ipamWith(stage, "10.33.0.0/24");
        const { pod, addresses } = take(stage, part);
        const file = `/var/lib/cni/networks/${stage.list.name}/${addresses[0]}`;
        stage.sh(`printf %s ${pod.containerId} > ${file}`);
        silent(stage.ask(part, { command: "DEL", pod }));
        want(stage.node.run(["test", "-e", file]).status === 1, "no file", file);
      },
    },
    {
      number: 132,
      title: "a file emptied by a crash blocks no ADD, and no address is assigned twice or lost for ever",
      run(stage) {
        const list = onlyMain(withRanges(stage.subject, "10.33.0.0/29"));
        const files = () => {
          const pod = stage.newPod();
          stage.add(pod, list);
          const found = stage.filesNaming(pod.containerId);
          stage.del(pod, list);
          return found.length;
        };
        const count = files();
        want(count > 0, "files that name the container", count);
        for (let index = 0; index < count; index++) {
          const victim = stage.newPod();
          const [address = ""] = addressesOf(stage.add(victim, list));
          const file = stage.filesNaming(victim.containerId)[index];
          if (file === undefined) continue;
          about(`"${file}" emptied`, () => {
            stage.sh(`: > ${file}`);
            const other = stage.newPod();
            const [given] = addressesOf(stage.add(other, list));
            want(given !== address, `another address than ${address}, which is in use`, given);
            stage.each("DEL", victim, {}, list).forEach(silent);
            stage.del(other, list);
            const valid = { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] };
            stage.each("GC", undefined, valid, list);
            const { taken } = fill(stage, ipamWith(stage, "10.33.0.0/29"), 9);
            for (const { pod } of taken) stage.ask(ipamWith(stage, "10.33.0.0/29"), { command: "DEL", pod });
            const all = taken.flatMap(({ addresses }) => addresses);
            want(all.includes(address), `${address} among what can be given again`, all);
          });
        }
      },
    },
    {
      number: 133,
      title: "static rejects an address without a prefix length",
      requires: ["static"],
      run(stage) {
        const conf = { type: "static", ipam: { type: "static", addresses: [{ address: "10.0.0.5" }] } };
        refused(stage.ask({ ...stage.part("ipam"), type: "static", conf }, { pod: stage.newPod() }));
      },
    },
  ],
};

type Wish = { readonly request: JsonObject } | { readonly env: Readonly<Record<string, string>> };

interface Taken {
  readonly pod: Pod;
  readonly result: CniResult;
  readonly addresses: readonly string[];
}

/** The IPAM plugin by itself. */
function ipamWith(stage: Stage, ...ranges: readonly Range[]): Part {
  return { ...stage.part("ipam"), conf: stage.main(withRanges(stage.subject, ...ranges)).conf };
}

function take(stage: Stage, part: Part): Taken {
  const pod = stage.newPod();
  const result = resultOf(stage.ask(part, { pod }));
  return { pod, result, addresses: addressesOf(result) };
}

/** Assigns addresses until none is left. Throws `Unmet` if one is assigned twice, or if there is no end. */
function fill(stage: Stage, part: Part, end: number): { readonly taken: readonly Taken[]; readonly refusal: Answer } {
  const taken: Taken[] = [];
  for (;;) {
    const pod = stage.newPod();
    const answer = stage.ask(part, { pod });
    if (answer.status !== 0) return { taken, refusal: answer };
    const addresses = addressesOf(resultOf(answer));
    const known = taken.flatMap((one) => one.addresses);
    want(!addresses.some((one) => known.includes(one)), `an address that nobody has (${known})`, addresses);
    taken.push({ pod, result: resultOf(answer), addresses });
    want(taken.length < end, `no more than ${end - 1} addresses`, taken.length);
  }
}

/** Requires that the node reaches the address, and that it is not one that the subnet reserves. */
function wantUsable(stage: Stage, { ips = [] }: CniResult): void {
  for (const { address, gateway } of ips) {
    const [host = "", length = "32"] = address.split("/");
    const number = host.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
    const size = 2 ** (32 - Number(length));
    const reserved = size > 2 && (number % size === 0 || number % size === size - 1);
    want(!reserved && host !== gateway, "an address that a container can have", `${address}, gateway ${gateway}`);
    want(ping(stage.node, undefined, host), `an answer from ${host}`, "none");
  }
}
