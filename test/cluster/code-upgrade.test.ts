// Goal: new code on real nodes, one after another, changes no acknowledged result: what came before its activation was done by the old
// code, on every node, and a retry has its first reply. Method: three processes with procedures that take a fee; commands all the while, as
// the nodes are started again with a larger fee: the leader after kill -9, the others after SIGTERM.
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { pause, withCluster } from "../../soak/soak-cluster.ts";
import { toPaxlogError } from "../../src/base/errors.ts";
import type { LocalCluster, LocalNode } from "../../src/cli/local-cluster.ts";
import { connect } from "../../src/client/connect.ts";
import type { Log } from "../../src/client/log.ts";
import type { ObjectSession } from "../../src/client/objects/handles.ts";
import { makeTempDir, type TempDir } from "./harness.ts";

const library = new URL("../../dist/index.js", import.meta.url).href;
const procedures = (version: number, fee: number): string => `
import { defineProcedures } from ${JSON.stringify(library)};
export const version = ${version};
export default defineProcedures({
  deposit: (tx, { cents }) => {
    const now = (tx.get("ada") ?? 0) + cents - ${fee};
    tx.put("ada", now);
    return now;
  },
});
`;

let temp: TempDir;
/** What the next start of a node is given. */
let file: string;

beforeEach(() => {
  temp = makeTempDir();
});
afterEach(() => temp.remove());

function give(version: number, fee: number): void {
  file = join(temp.path, `version-${version}.mjs`);
  writeFileSync(file, procedures(version, fee));
}

async function withLog<Result>(addresses: string, use: (log: Log) => Promise<Result>): Promise<Result> {
  const log = await connect(addresses, { deadlineMs: 60_000, closeMs: 100 });
  try {
    return await use(log);
  } finally {
    await log.close();
  }
}

async function leaderFirst({ clientAddresses, nodes }: LocalCluster): Promise<readonly LocalNode[]> {
  const leaderAddress = await withLog(clientAddresses, async (log) => (await log.status()).leaderAddress);
  return nodes.toSorted(
    (a, b) => Number(b.clientAddress === leaderAddress) - Number(a.clientAddress === leaderAddress),
  );
}

/** Again with its serial while a node leads that has the old code still: it refuses, and writes nothing. */
async function deposit(session: ObjectSession, serial: number): Promise<number> {
  for (;;) {
    try {
      return (await session.call("deposit", { cents: 100 }, { serial })) as number;
    } catch (cause) {
      if (toPaxlogError(cause).code !== "MACHINE_STOPPED") throw cause;
      await pause(100);
    }
  }
}

/** As a rolling restart does: what is under way is answered, states are saved. */
async function terminate({ process }: LocalNode): Promise<void> {
  const gone = new Promise((resolve) => process?.once("exit", resolve));
  process?.kill("SIGTERM");
  await gone;
}

test("nodes are given new procedures one after another, and no acknowledged result changes", {
  timeout: 120_000,
}, async () => {
  give(1, 20);
  const use = async (cluster: LocalCluster): Promise<void> => {
    await withLog(cluster.clientAddresses, async (log) => {
      const own = await log.objectSession({ ttlMs: 3_600_000 });
      const totals: number[] = [];
      const deposits = async (count: number): Promise<void> => {
        for (let each = 0; each < count; each += 1) totals.push(await deposit(own, totals.length + 1));
      };
      await deposits(5);
      const [leader, ...others] = await leaderFirst(cluster);
      give(2, 21);
      let isOver = false;
      const meanwhile = (async (): Promise<void> => {
        for (; !isOver; await pause(500)) await deposits(1);
      })();
      await cluster.kill(leader!);
      await cluster.start(leader!);
      for (const node of others) {
        await terminate(node);
        await cluster.start(node);
      }
      isOver = true;
      await meanwhile;
      await deposits(5);
      const steps = totals.map((total, index) => total - (totals[index - 1] ?? 0));
      const changed = steps.indexOf(79);
      expect(changed).toBeGreaterThanOrEqual(5);
      expect(steps).toEqual(steps.map((_, index) => (index < changed ? 80 : 79)));
      for (const [index, total] of totals.entries()) expect(await deposit(own, index + 1)).toBe(total);
      await judgeAll(cluster, totals.at(-1)!);
    });
  };
  await withCluster({ dir: tmpdir(), nodes: 3, note: () => {} }, use, { flags: () => ["--procedures", file] });
});

test("an old node that leads hands over to the one with the code that was activated, and commands go on", {
  timeout: 120_000,
}, async () => {
  give(1, 20);
  const old = file;
  give(2, 21);
  const use = async (cluster: LocalCluster): Promise<void> => {
    const [upgraded, ...others] = cluster.nodes as [LocalNode, ...LocalNode[]];
    // What leads is activated. The node with the smallest name stands first; on a slow machine another may have been faster.
    for (let leader = await leaderOf(cluster.nodes); leader !== upgraded; leader = await leaderOf(cluster.nodes)) {
      leader.process?.kill("SIGSTOP");
      await leaderOf(cluster.nodes.filter((node) => node !== leader));
      leader.process?.kill("SIGCONT");
    }
    const totals: number[] = [];
    await withLog(cluster.clientAddresses, async (log) => {
      const own = await log.objectSession({ ttlMs: 3_600_000 });
      totals.push(await deposit(own, 1));
      upgraded.process?.kill("SIGSTOP");
      expect(others).toContain(await leaderOf(others));
      await withLog(others[0]!.clientAddress, async (another) => {
        await expect(another.call("deposit", { cents: 100 })).rejects.toMatchObject({ code: "MACHINE_STOPPED" });
      });
      upgraded.process?.kill("SIGCONT");
      totals.push(await deposit(own, 2), await deposit(own, 3), await deposit(own, 1));
      await vi.waitFor(async () => expect(await leaderOf(cluster.nodes)).toBe(upgraded), 20_000);
    });
    expect(totals).toEqual([79, 158, 237, 79]);
  };
  const flags = ({ id }: LocalNode): string[] => ["--procedures", id === "n1" ? file : old];
  await withCluster({ dir: tmpdir(), nodes: 3, note: () => {} }, use, { flags });
});

/** The node of these that leads, as soon as one does. */
async function leaderOf(nodes: readonly LocalNode[]): Promise<LocalNode> {
  const logs = await Promise.all(nodes.map(({ clientAddress }) => connect(clientAddress, { closeMs: 100 })));
  try {
    for (;;) {
      for (const [index, node] of nodes.entries()) {
        const { role, phase } = await logs[index]!.status({ address: node.clientAddress });
        if (role === "leader" && phase === "accept") return node;
      }
      await pause(50);
    }
  } finally {
    await Promise.all(logs.map((log) => log.close()));
  }
}

/** Every node has the same, by the new code. */
async function judgeAll({ nodes }: LocalCluster, total: number): Promise<void> {
  for (const { clientAddress } of nodes) {
    await withLog(clientAddress, async (log) => {
      const asked = async () => (await log.space().get("ada", { freshness: "linearizable" }))?.json();
      await vi.waitFor(async () => expect(await asked()).toBe(total), 30_000);
    });
  }
}
