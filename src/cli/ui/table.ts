/**
 * Tables as calicoctl prints them, byte for byte: with borders for counts, columns of text for resources.
 *
 *     +----------+----------------+-----------+        NAME                  CIDR             SELECTOR
 *     | GROUPING | CIDR           | IPS TOTAL |        default-ipv4-ippool   192.168.0.0/16   all()
 *     +----------+----------------+-----------+
 *     | IP Pool  | 192.168.0.0/16 |     65536 |
 *     +----------+----------------+-----------+
 */

export interface Column {
  readonly title: string;
  readonly align?: "right";
}

export interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly string[])[];
}

const gap = "   ";

export function renderBoxed({ columns, rows }: Table): string {
  const widths = widthsOf({ columns, rows });
  const rule = `+${widths.map((width) => "-".repeat(width + 2)).join("+")}+\n`;
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  const head = line(columns.map(({ title }, index) => title.padEnd(widths[index] ?? 0)));
  const body = rows.map((row) => line(aligned(row, columns, widths))).join("");
  return `${rule}${head}${rule}${body}${body === "" ? "" : rule}`;
}

/** Every cell is padded, and an empty line follows. */
export function borderless({ columns, rows }: Table): string {
  const widths = widthsOf({ columns, rows });
  const titles = columns.map(({ title }) => title);
  const lines = [titles, ...rows].map((row) => `${aligned(row, columns, widths).join(gap)}${gap}\n`);
  return `${lines.join("")}\n`;
}

function widthsOf({ columns, rows }: Table): readonly number[] {
  return columns.map(({ title }, index) => Math.max(title.length, ...rows.map((row) => (row[index] ?? "").length)));
}

function aligned(row: readonly string[], columns: readonly Column[], widths: readonly number[]): readonly string[] {
  return columns.map(({ align }, index) => {
    const cell = row[index] ?? "";
    const width = widths[index] ?? 0;
    return align === "right" ? cell.padStart(width) : cell.padEnd(width);
  });
}
