/** Parses the output of `ip -j`. Each function throws `Error` if the text has another format. */
import * as z from "zod";

const end = {
  ifname: z.string(),
  ifindex: z.int().optional(),
  /** Of a veth: the index of its peer, in the peer's namespace. */
  link_index: z.int().nullish(),
  /** The peer's name, if it is in this namespace. */
  link: z.string().nullish(),
  flags: z.array(z.string()).default([]),
  /** The MAC address. */
  address: z.string().optional(),
};
const links = z.array(z.object({ ...end, ifalias: z.string().optional() }));
const addresses = z.array(
  z.object({
    ...end,
    addr_info: z
      .array(z.object({ local: z.string().optional(), scope: z.string().optional(), prefixlen: z.int().optional() }))
      .default([]),
  }),
);
const routes = z.array(z.object({ dst: z.string(), dev: z.string().optional(), gateway: z.string().optional() }));

export type IpLink = z.infer<typeof links>[number];
export type IpAddresses = z.infer<typeof addresses>;
export type IpInterface = IpAddresses[number];
export type IpRoute = z.infer<typeof routes>[number];

export function ipLinks(text: string): readonly IpLink[] {
  return links.parse(ipList(text));
}

export function ipAddresses(text: string): IpAddresses {
  return addresses.parse(ipList(text));
}

export function ipRoutes(text: string): readonly IpRoute[] {
  return routes.parse(ipList(text));
}

/** The kernel's words in a line of stderr, where alone `ip` has them: `RTNETLINK answers: No route to host`. */
export function kernelsWords(line: string): string {
  return line.replace(/^(RTNETLINK answers|Error): /, "").trim();
}

/** The items of any list. Older versions print nothing for an empty list, and an empty object for an omitted item. */
export function ipList(text: string): readonly object[] {
  const value: unknown = text.trim() === "" ? [] : JSON.parse(text);
  if (!Array.isArray(value)) throw new Error('"ip -j" did not print a list');
  return value.filter((item: object) => Object.keys(item).length > 0);
}
