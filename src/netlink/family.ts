/** Address families by the kernel's numbers (linux/socket.h), the first field of every netlink header. */
import type { Family, TableFamily } from "../net/address.ts";

/** By the number that addresses have in their names, and by the names of nf_tables' tables. */
const numbers = { 4: 2, 6: 10, ip: 2, ip6: 10 } as const;

/** AF_INET or AF_INET6. */
export function addressFamily(family: Family | TableFamily): number {
  return numbers[family];
}

/** The family in the first byte of a header; `undefined` for others than AF_INET and AF_INET6. */
export function familyOfNumber(number: number | undefined): Family | undefined {
  return ([4, 6] as const).find((family) => numbers[family] === number);
}
