// Goal: a machine of the user's answers the same whether it runs in the program or on the nodes. Method: the built package and command
// line, one node that is started with the machine, the same steps through both handles, each on a machine of its own name.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { connect as Connect, Log, Machine } from "../../src/index.ts";
import { makeTempDir, Running, type TempDir } from "../cluster/harness.ts";
import { failureOf } from "./suite.ts";

type Tally = Machine<{ count: number }, { add: number }, number, "count", number>;

const library = new URL("../../dist/index.js", import.meta.url).href;
const source = `
import { defineMachine } from ${JSON.stringify(library)};
export default defineMachine({
  name: "tally",
  version: 1,
  create: () => ({ count: 0 }),
  apply: (state, { add }) => {
    if (add < 0) throw new Error("less than nothing");
    return (state.count += add);
  },
  ask: (state) => state.count,
  save: (state) => [Buffer.from(String(state.count))],
  load: (pieces) => ({ count: Number(Buffer.concat([...pieces]).toString()) }),
});
`;

let temp: TempDir;
let node: Running;
let log: Log;
let tally: Tally;

beforeAll(async () => {
  temp = makeTempDir();
  const file = join(temp.path, "tally.mjs");
  mkdirSync(temp.path, { recursive: true });
  writeFileSync(file, source);
  ({ default: tally } = (await import(pathToFileURL(file).href)) as { default: Tally });
  node = new Running([
    "serve",
    ...["--dir", join(temp.path, "node"), "--listen", "127.0.0.1:0", "--machine", file, "--json"],
  ]);
  const { connect } = (await import(fileURLToPath(library))) as { connect: typeof Connect };
  log = await connect((await node.line(0)).address as string);
}, 60_000);

afterAll(async () => {
  await log?.close();
  await node?.stop();
  temp?.remove();
});

test.each(["nodes", "program"] as const)(
  "on the %s: replies in order, answers that know of them, a throw that does nothing",
  async (on) => {
    const own = on === "nodes" ? tally : { ...tally, name: "tally-here" };
    await using machine = on === "nodes" ? log.machine(own, { on }) : log.machine(own);
    expect(await Promise.all([machine.execute({ add: 1 }), machine.execute({ add: 2 })])).toEqual([1, 3]);
    expect(await failureOf(machine.execute({ add: -1 }))).toMatchObject({ code: "MACHINE_FAILED", outcome: "none" });
    expect(await machine.execute({ add: 4 })).toBe(7);
    expect([await machine.ask("count"), await machine.ask("count", { freshness: "local" })]).toEqual([7, 7]);
    expect(machine.position).toBeGreaterThan(4);
    await machine.close();
    expect(await failureOf(machine.execute({ add: 1 }))).toMatchObject({ code: "CLOSED" });
  },
  60_000,
);
