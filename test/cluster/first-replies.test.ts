// Goal: stored procedures run on every real node alike, and a retry has the reply of its first attempt, whatever happened in between.
// Method: three processes with a file of procedures; a log that is trimmed, so that replies come from saved states; kill -9 of the leader,
// then of all of them; one node is given other code in the end.
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { withCluster } from "../../soak/soak-cluster.ts";
import { limits } from "../../src/base/limits.ts";
import type { LocalCluster, LocalNode } from "../../src/cli/local-cluster.ts";
import { connect } from "../../src/client/connect.ts";
import type { Log } from "../../src/client/log.ts";
import { makeTempDir, type TempDir } from "./harness.ts";

const library = new URL("../../dist/index.js", import.meta.url).href;
const procedures = (fee: number): string => `
import { defineProcedures } from ${JSON.stringify(library)};
export default defineProcedures({
  deposit: (tx, { to, cents }) => {
    const now = (tx.get(to) ?? 0) + cents - ${fee};
    tx.put(to, now);
    return now;
  },
  transfer: (tx, { from, to, cents }) => {
    tx.put(to, (tx.get(to) ?? 0) + cents);
    const left = (tx.get(from) ?? 0) - cents;
    if (left < 0) tx.refuse("not enough money");
    tx.put(from, left);
    return left;
  },
  fill: (tx, { keys }) => {
    for (let key = 0; key < keys; key += 1) tx.put("filled/" + key, key);
  },
});
`;

let temp: TempDir;
/** What the next start of a node is given. */
let file: string;

beforeEach(() => {
  temp = makeTempDir();
  give(0);
});
afterEach(() => temp.remove());

function give(fee: number): void {
  file = join(temp.path, `fee-${fee}.mjs`);
  writeFileSync(file, procedures(fee));
}

const patient = { deadlineMs: 60_000, closeMs: 100 } as const;

async function withLog<Result>(addresses: string, use: (log: Log) => Promise<Result>): Promise<Result> {
  const log = await connect(addresses, patient);
  try {
    return await use(log);
  } finally {
    await log.close();
  }
}

async function leaderOf(cluster: LocalCluster): Promise<LocalNode> {
  return await withLog(cluster.clientAddresses, async (log) => {
    await log.tail();
    const { leaderAddress } = await log.status();
    return cluster.nodes.find(({ clientAddress }) => clientAddress === leaderAddress) ?? cluster.nodes[0]!;
  });
}

const savedBy = ({ dir }: LocalNode): number[] => {
  const saved = join(dir, "machines", "space");
  const names = existsSync(saved) ? readdirSync(saved) : [];
  return names.map(Number).filter((position) => position > 0);
};

/** Enough commands that every node saves the state of the space. */
async function fillUp(log: Log, cluster: LocalCluster): Promise<void> {
  const space = log.space();
  const count = limits.machinePointCommands;
  await Promise.all(Array.from({ length: count }, (_, index) => space.put(`other/${index % 100}`, "")));
  await vi.waitFor(
    () => expect(cluster.nodes.filter((node) => Math.max(0, ...savedBy(node)) < count)).toEqual([]),
    60_000,
  );
}

test("a retry has its first reply after a leader change and a restart from saved states; procedures are alike on every node", {
  timeout: 240_000,
}, async () => {
  const context = { dir: tmpdir(), nodes: 3, note: () => {} };
  const use = async (cluster: LocalCluster): Promise<void> => {
    const addresses = cluster.clientAddresses;
    const first = await withLog(addresses, async (log) => {
      const own = await log.objectSession({ ttlMs: 3_600_000 });
      const version = await own.space().put("own", "first", { serial: 1 });
      expect(await own.call("deposit", { to: "ada", cents: 100 }, { serial: 2 })).toBe(100);
      await expect(own.call("transfer", { from: "bob", to: "eve", cents: 1 }, { serial: 3 })).rejects.toMatchObject({
        code: "PROCEDURE_FAILED",
      });
      await expect(own.call("nothing", {})).rejects.toMatchObject({ code: "PROCEDURE_UNKNOWN" });
      await expect(own.call("fill", { keys: 20_000 })).rejects.toMatchObject({ code: "TRANSACTION_TOO_LARGE" });
      expect(await log.space().get("eve")).toBeUndefined();
      expect((await log.space().range({ prefix: "filled/" })).count).toBe(0);
      expect(await log.call("transfer", { from: "ada", to: "bob", cents: 30 })).toBe(70);
      await fillUp(log, cluster);
      return { state: own.state, version };
    });
    const repeats = async (): Promise<void> =>
      await withLog(addresses, async (log) => {
        const own = await log.objectSession({ resume: first.state });
        expect(await own.space().put("own", "first", { serial: 1 })).toBe(first.version);
        expect(await own.call("deposit", { to: "ada", cents: 100 }, { serial: 2 })).toBe(100);
        await expect(own.call("transfer", { from: "bob", to: "eve", cents: 1 }, { serial: 3 })).rejects.toMatchObject({
          code: "PROCEDURE_FAILED",
        });
        expect((await log.space().get("own"))!).toMatchObject({ version: first.version, writes: 1 });
        expect((await log.space().get("ada"))!.json()).toBe(70);
      });
    // What the replies are of is trimmed: a node that starts has them from its saved state, or not at all.
    const saved = cluster.nodes.map((node) => Math.max(...savedBy(node)));
    await withLog(addresses, async (log) => {
      await vi.waitFor(async () => expect((await log.trim(Math.min(...saved))).heldBy).toBeUndefined(), 60_000);
      expect((await log.tail()).head).toBeGreaterThan(10);
    });
    const leader = await leaderOf(cluster);
    await cluster.kill(leader);
    await repeats();
    const others = cluster.nodes.filter((node) => node !== leader);
    await Promise.all(others.map((node) => cluster.kill(node)));
    await Promise.all(others.map((node) => cluster.start(node)));
    await repeats();
    give(1);
    await cluster.start(leader);
    await judgeCode(addresses, leader);
  };
  await withCluster(context, use, { flags: () => ["--procedures", file] });
});

/** A node with other code of that version stops its space, and nothing else; the others go on. */
async function judgeCode(addresses: string, odd: LocalNode): Promise<void> {
  await withLog(odd.clientAddress, async (log) => {
    const asked = () => log.space().get("ada", { freshness: "local" });
    await vi.waitFor(async () => await expect(asked()).rejects.toMatchObject({ code: "MACHINE_STOPPED" }), 60_000);
    expect(await log.counter("others").get()).toBe(0);
  });
  await withLog(addresses, async (log) => {
    expect(await log.call("deposit", { to: "ada", cents: 10 })).toBe(80);
  });
}
