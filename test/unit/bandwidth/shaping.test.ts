import { describe, expect, test } from "vitest";
import { parseConf } from "../../../plugins/bandwidth/conf.ts";
import { ifbName, planShaping } from "../../../plugins/bandwidth/shaping.ts";
import { CniError } from "../../../src/cni/error.ts";
import { show } from "../../../src/plan/show.ts";

const link = { hostInterface: "cali123", mtu: 1450, ifb: "bwpc2d892b58e87" };

/** The bucket towards the container. */
function bucketOf(rate: number, burst: number) {
  const plan = planShaping(parseConf({ ingressRate: rate, ingressBurst: burst }), link);
  return plan[0];
}

describe("planShaping()", () => {
  test.each([
    [1e6, 1e6, 125000, 15625000, 128125],
    [1e7, 8e5, 1250000, 1250000, 131250],
    [1e8, 3.2e6, 12500000, 500000, 712500],
    [1e9, 4e7, 125000000, 625000, 8125000],
  ])(
    "gives %d bit/s with a burst of %d bits the reference's numbers",
    (rate, burst, rateBytes, bufferTicks, limitBytes) => {
      expect(bucketOf(rate, burst)).toMatchObject({ rateBytes, bufferTicks, limitBytes, burstBytes: burst / 8 });
    },
  );

  test.each([
    [8, 8, 1468],
    [8000, 80, 1468],
    [1e6, 8000, 1468],
    [1e6, 8 * 1467, 1468],
    [1e6, 8 * 1468, 1468],
    [1e6, 8 * 1469, 1469],
  ])(
    "raises for %d bit/s a burst of %d bits to a packet of the MTU, with its header: %d bytes",
    (rate, burst, burstBytes) => {
      const limitBytes = Math.floor((rate / 8) * 0.025) + burstBytes;
      expect(bucketOf(rate, burst)).toMatchObject({ burstBytes, limitBytes });
      const { egressRate, egressBurst } = { egressRate: rate, egressBurst: burst };
      const plan = planShaping(parseConf({ egressRate, egressBurst }), link);
      expect(plan).toContainEqual(
        expect.objectContaining({ link: link.ifb, discipline: "tbf", burstBytes, limitBytes }),
      );
    },
  );

  test.each([
    ["containerd's 2^32-1 bits", 1e7, 2 ** 32 - 1, 536870911, 1250000 * 0.025 + 536870911],
    ["CRI-O's 34359738359 bits", 1e6, 34359738359, 4294967294, 2 ** 32 - 1],
  ])("does not wrap around for %s", (_who, rate, burst, burstBytes, limitBytes) => {
    expect(bucketOf(rate, burst)).toMatchObject({ burstBytes, limitBytes, bufferTicks: 2 ** 32 - 1 });
  });

  test("limits both directions by these commands", () => {
    const conf = parseConf({ ingressRate: 1e6, ingressBurst: 1e6, egressRate: 2e6, egressBurst: 1e6 });
    expect(show({ owner: "tortie:net1/c1/eth0", resources: planShaping(conf, link) })).toMatchSnapshot();
  });

  test("makes no ifb for ingress alone, and no queue on the veth for egress alone", () => {
    const kinds = (conf: object) => planShaping(parseConf({ ...conf }), link).map(({ kind }) => kind);
    expect(kinds({ ingressRate: 1e6, ingressBurst: 1e6 })).toEqual(["qdisc"]);
    expect(planShaping(parseConf({ egressRate: 1e6, egressBurst: 1e6 }), link)).not.toContainEqual(
      expect.objectContaining({ link: "cali123", discipline: "tbf" }),
    );
  });
});

describe("parseConf()", () => {
  test("takes the runtime's limits in either case, and ignores them when one stands at the top level", () => {
    const runtime = { IngressRate: 8000, IngressBurst: 80, EgressRate: 0, EgressBurst: 0 };
    expect(parseConf({ runtimeConfig: { bandwidth: runtime } }).ingress).toEqual({ rateBytes: 1000, burstBytes: 10 });
    const both = { egressRate: 16, egressBurst: 8, runtimeConfig: { bandwidth: runtime } };
    expect(parseConf(both)).toEqual({ ingress: undefined, egress: { rateBytes: 2, burstBytes: 1 } });
  });

  test.each([
    [{ ingressRate: 8 }, "if rate is set, burst must also be set"],
    [{ egressBurst: 8 }, "if burst is set, rate must also be set"],
    [{ ingressRate: 8, ingressBurst: 2 ** 35 }, "burst cannot be more than 4GB"],
    [{ ingressRate: 7, ingressBurst: 8 }, "less than 8 bits"],
    [{ ingressRate: -8, ingressBurst: 8 }, '"ingressRate" must be 0 or more'],
    [{ ingressRate: 8.5, ingressBurst: 8 }, '"ingressRate" must be an integer'],
    [{ ingressRate: "8", ingressBurst: 8 }, '"ingressRate" must be an integer'],
  ])("refuses %j", (conf, text) => {
    expect(() => parseConf(conf)).toThrow(text);
    expect(() => parseConf(conf)).toThrow(CniError);
  });
});

describe("ifbName()", () => {
  test("is the reference's for eth0 and another for each further interface", () => {
    const name = (ifname: string) => ifbName({ network: "net1", containerId: "c1", ifname });
    expect(name("eth0")).toBe("bwpc2d892b58e87");
    expect(new Set([name("eth0"), name("net1"), name("net2")]).size).toBe(3);
    expect(name("net1")).toHaveLength(15);
  });
});
