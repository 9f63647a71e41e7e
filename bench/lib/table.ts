/** A table for people: numbers to the right, text to the left, columns as wide as their widest cell. */
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function renderTable({ title, columns, rows }: Table): string {
  const widths = columns.map((column, index) =>
    Math.max(column.length, ...rows.map((row) => (row[index] ?? "").length)),
  );
  const line = (cells: readonly string[]) =>
    widths
      .map((width, index) => align(cells[index] ?? "", width, rows, index))
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [title, "", line(columns), rule, ...rows.map(line)].join("\n");
}

function align(cell: string, width: number, rows: Table["rows"], index: number): string {
  return rows.every((row) => isNumeric(row[index] ?? "")) ? cell.padStart(width) : cell.padEnd(width);
}

function isNumeric(cell: string): boolean {
  return cell === "" || /^-?[\d,.]+( ?(%|s|ms|us|MB\/s|MiB|x))?$/.test(cell) || cell === "-";
}

/** 1234.5678 as "1,235", 12.345 as "12.3", 0.12345 as "0.123": three digits that mean something. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const magnitude = Math.abs(value);
  if (magnitude >= 100 || value === 0) {
    return Math.round(value)
      .toString()
      .replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  }
  return value.toFixed(magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3);
}
