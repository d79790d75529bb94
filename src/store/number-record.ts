/**
 * A record of integers that may still be text: an operation changes one member and copies the others as text.
 *
 *     {"0":1690113884806720496,"8":1690113884806720511}
 */
import { JsonText, readValue, type Unread } from "./json-text.ts";

export type NumberRecord = Readonly<Record<string, bigint | number>>;

type Stored = Unread<NumberRecord> | null | undefined;

export function membersOf(record: Stored): NumberRecord {
  return (record && readValue<NumberRecord>(record)) ?? {};
}

/** The member must not exist yet. */
export function withMember(record: Stored, key: number, number: bigint | number): Unread<NumberRecord> {
  if (!(record instanceof JsonText)) return { ...record, [key]: number };
  const members = record.text.slice(0, -1);
  return new JsonText(`${members}${members.trimEnd().length > 1 ? "," : ""}"${key}":${number}}`);
}

export function withoutMember(record: Stored, key: number): Unread<NumberRecord> {
  if (!(record instanceof JsonText)) {
    const { [key]: _number, ...others } = record ?? {};
    return others;
  }
  const { text } = record;
  const start = text.indexOf(`"${key}":`);
  if (start < 0) return record;
  const comma = text.indexOf(",", start);
  // For the last member, removes the preceding comma, if there is one.
  if (comma < 0) return new JsonText(`${text.slice(0, Math.max(1, text.lastIndexOf(",", start)))}}`);
  return new JsonText(text.slice(0, start) + text.slice(comma + 1));
}
