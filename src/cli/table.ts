/** A column: its heading, and whether its cells are numbers, which stand at the right. */
export interface Column {
  readonly heading: string;
  readonly numeric?: true;
}

/** The lines of a table for people: columns as wide as their widest cell, two spaces between them, nothing behind the last. */
export function tableLines(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const headings = columns.map((column) => column.heading);
  const widths = columns.map((_, index) => Math.max(...[headings, ...rows].map((row) => row[index]!.length)));
  const lineOf = (cells: readonly string[]) =>
    columns
      .map(({ numeric }, index) =>
        numeric ? cells[index]!.padStart(widths[index]!) : cells[index]!.padEnd(widths[index]!),
      )
      .join("  ")
      .trimEnd();
  return [headings, ...rows].map(lineOf);
}
