/**
 * Tables: with borders as calicoctl draws them on a terminal, columns of text elsewhere.
 *
 *     +----------+----------------+-----------+        GROUPING   CIDR             IPS TOTAL
 *     | GROUPING |      CIDR      | IPS TOTAL |        IP Pool    192.168.0.0/16       65536
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
  const head = line(columns.map(({ title }, index) => centred(title, widths[index] ?? 0)));
  const body = rows.map((row) => line(aligned(row, columns, widths))).join("");
  return `${rule}${head}${rule}${body}${body === "" ? "" : rule}`;
}

export function borderless({ columns, rows }: Table): string {
  const widths = widthsOf({ columns, rows });
  const titles = columns.map(({ title }) => title);
  return [titles, ...rows].map((row) => `${aligned(row, columns, widths).join(gap).trimEnd()}\n`).join("");
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

function centred(text: string, width: number): string {
  const before = Math.floor((width - text.length) / 2);
  return " ".repeat(before) + text.padEnd(width - before);
}
