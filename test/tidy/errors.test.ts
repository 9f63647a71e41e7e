// Goal: whoever meets an error code finds what happened and what to do, and what the tables say of it is what the code does.
// Method: docs/errors.md and the pages below docs/errors/ against the list of codes, the gRPC mapping and the exit codes.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { errorCodes, PaxlogError } from "../../src/base/errors.ts";
import { exitCodeOf } from "../../src/cli/exit-codes.ts";
import { grpcStatuses, grpcStatusOf } from "../../src/format/error-details.ts";
import { root } from "./sources.ts";

const folder = join(root, "docs/errors");
const index = readFileSync(join(root, "docs/errors.md"), "utf8");
const pages = new Map(
  readdirSync(folder).map((name) => [name.replace(/\.md$/, ""), readFileSync(join(folder, name), "utf8")]),
);

interface Row {
  readonly code: string;
  readonly says: string;
  readonly outcome: string;
  readonly retryable: string;
  readonly grpc: string;
  readonly exit: string;
}

const rows: readonly Row[] = [...index.matchAll(/^\| \[`([A-Z_]+)`\]\(errors\/\1\.md\) \| (.+) \|$/gm)].map((match) => {
  const [says, outcome, retryable, grpc, exit] = match[2]!.split(" | ");
  return { code: match[1]!, says: says!, outcome: outcome!, retryable: retryable!, grpc: grpc!, exit: exit! };
});

/** What an error of this code tells by itself, with the outcome that it has always or, where that differs, before all is sent. */
function factsOf({ code, outcome }: Row): Omit<Row, "says"> {
  const error = new PaxlogError(code as PaxlogError["code"], "", {
    outcome: outcome === "unknown" ? "unknown" : "none",
  });
  const grpc = Object.entries(grpcStatuses).find(([, number]) => number === grpcStatusOf(error))![0];
  return { code, outcome, retryable: error.retryable ? "yes" : "no", grpc, exit: String(exitCodeOf(error)) };
}

test("every code has a row and a page, and no other", () => {
  expect(rows.map(({ code }) => code).toSorted()).toEqual([...errorCodes].toSorted());
  expect([...pages.keys()].toSorted()).toEqual([...errorCodes].toSorted());
});

test("every row says what the code does: whether a retry helps, its gRPC status, its exit code", () => {
  for (const row of rows) expect({ ...factsOf(row), says: row.says }).toEqual(row);
});

test("every page says what happened, the outcome, and what to do, as its row has it", () => {
  for (const { code, says, outcome, retryable } of rows) {
    const page = pages.get(code)!;
    const begin = `# \`${code}\`\n\n${says[0]!.toUpperCase()}${says.slice(1)}.\n\n- Outcome: ${outcome.split(" ")[0]}`;
    expect(page.slice(0, begin.length)).toBe(begin);
    expect(page).toContain(`\n- Retryable: ${retryable}.\n`);
    expect(page).toMatch(/\n## What happened\n\n.{20,}\n(.+\n)*\n## What to do\n\n.{5,}\n/);
  }
});

test("every link on a page leads somewhere", () => {
  for (const [code, page] of pages) {
    for (const [, link] of page.matchAll(/\]\(([^)#:]+)\)/g)) {
      expect(existsSync(join(folder, link!)), `${code}: ${link}`).toBe(true);
    }
  }
});
