/** Long runs against real processes: `npm run soak -- COMMAND`. What they do, and how long they take: docs/testing.md. */
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { type ObjectHost, runCounts } from "./counts.ts";
import { runFence } from "./fence.ts";
import { runHistory } from "./history.ts";
import { runKills } from "./kills.ts";
import { allStrikes, strikes } from "./nemesis.ts";
import { runObjectHistory } from "./object-history.ts";
import { runRace } from "./race.ts";
import { runReaders } from "./readers.ts";
import { runRecipes } from "./recipes.ts";
import type { SoakContext } from "./soak-cluster.ts";
import { runStorm } from "./storm.ts";

interface CommonFlags {
  readonly nodes: number;
  readonly seed: number;
  readonly dir: string;
}

const program = new Command("soak").description(
  "run a cluster of processes under faults and check what its clients were told; exit code 1 where a promise is broken",
);

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("it must be a whole number from 1.");
  return value;
}

function command(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option("--nodes <count>", "nodes of the cluster", whole, 3)
    .option("--seed <number>", "what is drawn, but not what processes make of it", whole, 1)
    .option("--dir <dir>", "where the nodes keep their data", tmpdir());
}

function contextOf({ nodes, seed, dir }: CommonFlags): SoakContext {
  mkdirSync(dir, { recursive: true });
  return { nodes, seed, dir, note: (line) => process.stderr.write(`${line}\n`) };
}

function report(result: object): void {
  process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
}

command("history", "clients append under guards, read tails and fence; a linearizability checker judges what they saw")
  .option("--seconds <count>", "how long the clients ask", whole, 60)
  .option("--clients <count>", "how many ask at the same time", whole, 8)
  .option("--think-ms <ms>", "mean pause of a client between two calls", whole, 10)
  .action(async (flags: CommonFlags & { seconds: number; clients: number; thinkMs: number }) => {
    const { seconds, clients, thinkMs } = flags;
    const plan = { seconds, clients, thinkMs, checkMs: 600_000, strikes: allStrikes, calmMs: 1500, outageMs: 3000 };
    report(await runHistory(contextOf(flags), plan));
  });

command("race", "clients try the same guarded append at the same time; one of them wins each round")
  .option("--rounds <count>", "rounds of each kind of guard", whole, 10_000)
  .option("--clients <count>", "how many race", whole, 2)
  .action(async (flags: CommonFlags & { rounds: number; clients: number }) => {
    report(await runRace(contextOf(flags), flags));
  });

command("storm", "sessions append through clients that die, retry and repeat; each record is in the log once, in order")
  .option("--appends <count>", "of all sessions together", whole, 1_000_000)
  .option("--sessions <count>", "how many write at the same time", whole, 16)
  .action(async (flags: CommonFlags & { appends: number; sessions: number }) => {
    const { appends, sessions } = flags;
    const plan = { appends, sessions, inFlight: 200, lifeAppends: 5000, twinRate: 0.2 };
    report(await runStorm(contextOf(flags), { ...plan, strikes: allStrikes, calmMs: 8000, outageMs: 3000 }));
  });

command("fence", "holders of a lease go silent and write too late; tokens only grow, and every late write is refused")
  .option("--holders <count>", "how many follow each other", whole, 100)
  .action(async (flags: CommonFlags & { holders: number }) => {
    report(
      await runFence(contextOf(flags), {
        holders: flags.holders,
        stopEvery: 3,
        strikes: allStrikes,
        calmMs: 3000,
        outageMs: 3000,
      }),
    );
  });

command("objects", "clients that die, retry and send twice add to one counter; it counts each addition once")
  .option("--additions <count>", "of all clients together", whole, 1_000_000)
  .option("--clients <count>", "how many add at the same time", whole, 64)
  .addOption(new Option("--host <host>", "who applies the commands").choices(["nodes", "program"]).default("nodes"))
  .action(async (flags: CommonFlags & { additions: number; clients: number; host: ObjectHost }) => {
    const { additions, clients, host } = flags;
    const plan = { additions, clients, host, inFlight: 200, lifeAppends: 5000, twinRate: 0.2 };
    report(await runCounts(contextOf(flags), { ...plan, strikes: allStrikes, calmMs: 8000, outageMs: 3000 }));
  });

command("object-history", "clients share counters, registers, leases and lists; checkers judge what they saw of each")
  .option("--seconds <count>", "how long the clients ask", whole, 60)
  .option("--clients <count>", "how many ask at the same time", whole, 8)
  .option("--think-ms <ms>", "mean pause of a client between two calls", whole, 10)
  .action(async (flags: CommonFlags & { seconds: number; clients: number; thinkMs: number }) => {
    const { seconds, clients, thinkMs } = flags;
    const plan = { seconds, clients, thinkMs, checkMs: 300_000, strikes: allStrikes, calmMs: 1500, outageMs: 3000 };
    report(await runObjectHistory(contextOf(flags), plan));
  });

command(
  "recipes",
  "leaders, permits, barriers, jobs and instances come and go without a word; each recipe keeps its promise",
)
  .option("--seconds <count>", "how long they come and go", whole, 120)
  .option("--participants <count>", "of each recipe", whole, 4)
  .action(async (flags: CommonFlags & { seconds: number; participants: number }) => {
    const { seconds, participants } = flags;
    const plan = { seconds, participants, strikes: allStrikes, calmMs: 2500, outageMs: 3000 };
    report(await runRecipes(contextOf(flags), plan));
  });

command(
  "readers",
  "readers follow over killed, paused and lagging nodes while the log is trimmed; each saw each record once, in order",
)
  .option("--seconds <count>", "how long the writers append", whole, 120)
  .option("--readers <count>", "how many read at the same time", whole, 12)
  .action(async (flags: CommonFlags & { seconds: number; readers: number }) => {
    const { seconds, readers } = flags;
    const plan = { seconds, readers, writers: 3, nonvoters: 1, keepRecords: 4000, trimMs: 3000, rate: 300 };
    report(await runReaders(contextOf(flags), { ...plan, strikes, calmMs: 3000, outageMs: 4000 }));
  });

command(
  "kills",
  "one node snapshots and trims, and is killed over and over; what was acknowledged and not trimmed is there each time",
)
  .option("--kills <count>", "how often", whole, 200)
  .action(async (flags: CommonFlags & { kills: number }) => {
    report(await runKills(contextOf(flags), { kills: flags.kills, keepRecords: 60, valueBytes: 60_000 }));
  });

await program.parseAsync();
