import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { open } from "#src/index";
import { counterMachine, registerMachine } from "#src/objects/builtins";
import { Child } from "./lib/child.ts";
import type { BenchContext, Benchmark, Size } from "./lib/report.ts";
import { figure } from "./lib/table.ts";
import type { StartFigures, StartWanted } from "./start-probe.ts";

export interface MachineStartFigures extends StartFigures {
  readonly commands: number;
  /** From the birth of the process to its first linearizable answer, its modules and its node included. */
  readonly processMs: number;
  /** Most that the process which made the commands took, with its node and its machines. */
  readonly makingMiB: number;
  readonly commandsPerSecond: number;
}

const plans: Readonly<Record<Size, { readonly counts: readonly number[]; readonly runs: number }>> = {
  smoke: { counts: [8_192, 40_960], runs: 1 },
  default: { counts: [1_000_000, 10_000_000], runs: 7 },
  full: { counts: [1_000_000, 10_000_000, 30_000_000], runs: 15 },
};
/** Half counters, half registers. */
const names = 20_000;
const batchCommands = 8_192;
const batchesInFlight = 8;

/** How long a node takes to the first linearizable answer of a machine, by how many commands its snapshots stand for. */
export const startBenchmark: Benchmark<readonly MachineStartFigures[]> = {
  name: "start",
  probes: "none",
  run: async (context) => {
    const figures = await measure(context);
    return {
      figures,
      tables: [
        {
          title: "from the start of a process to the first linearizable answer of a machine, median of the runs",
          columns: [
            "commands",
            "process ms",
            "open ms",
            "tail ms",
            "answer ms",
            "CPU ms",
            "MiB",
            "making MiB",
            "making /s",
          ],
          rows: figures.map((each) =>
            [
              each.commands,
              each.processMs,
              each.openMs,
              each.tailMs,
              each.answerMs,
              each.cpuMs,
              each.memoryMiB,
              each.makingMiB,
              each.commandsPerSecond,
            ].map(figure),
          ),
        },
      ],
      remarks: [
        `commands go to ${figure(names / 2)} counters and as many registers, in a session, ${figure(batchCommands)} in a batch; verified: a counter and a register are as they must be`,
      ],
    };
  },
};

async function measure(context: BenchContext): Promise<MachineStartFigures[]> {
  const { counts, runs } = plans[context.size];
  const base = await mkdtemp(join(context.dir, "paxlog-start-"));
  try {
    const nodes: {
      readonly wanted: StartWanted;
      readonly made: Pick<MachineStartFigures, "commands" | "makingMiB" | "commandsPerSecond">;
      readonly runs: (StartFigures & { readonly processMs: number })[];
    }[] = [];
    for (const commands of counts) {
      context.note(`${figure(commands)} commands`);
      const dir = join(base, `${commands}`);
      nodes.push({ ...(await make(dir, commands, context.note)), runs: [] });
    }
    for (let run = 1; run <= runs; run += 1) {
      context.note(`run ${run} of ${runs}`);
      for (const node of nodes) {
        const began = performance.now();
        const child = await Child.start<StartFigures>("start-probe", node.wanted);
        node.runs.push({ ...child.ready, processMs: performance.now() - began });
        await child.stop();
      }
    }
    return nodes.map(({ made, runs: found }) => {
      const median = (of: (figures: (typeof found)[number]) => number) =>
        found.map(of).sort((a, b) => a - b)[found.length >> 1]!;
      return {
        ...made,
        processMs: median(({ processMs }) => processMs),
        openMs: median(({ openMs }) => openMs),
        tailMs: median(({ tailMs }) => tailMs),
        answerMs: median(({ answerMs }) => answerMs),
        cpuMs: median(({ cpuMs }) => cpuMs),
        memoryMiB: median(({ memoryMiB }) => memoryMiB),
      };
    });
  } finally {
    await rm(base, { recursive: true, force: true });
  }
}

/** Command `index` of all. Every name has as many as any other, give or take one. */
function commandOf(index: number): { readonly type: string; readonly value: Uint8Array } {
  const name = `name-${Math.floor((index % names) / 2)}`;
  if (index % 2 === 0)
    return { type: "$counters", value: counterMachine.commands!.encode({ kind: "add", name, delta: 1 }) };
  const value = Buffer.alloc(32, index);
  return { type: "$registers", value: registerMachine.commands!.encode({ kind: "set", name, value }) };
}

async function make(dir: string, commands: number, note: (line: string) => void) {
  const log = await open({ dir, deadlineMs: 600_000 });
  let memory = 0;
  const look = setInterval(() => {
    memory = Math.max(memory, process.memoryUsage().rss);
  }, 100);
  const began = performance.now();
  try {
    const session = await log.session({ ttlMs: 600_000 });
    const pending: Promise<unknown>[] = [];
    for (let first = 0; first < commands; first += batchCommands) {
      const count = Math.min(batchCommands, commands - first);
      pending.push(session.append(Array.from({ length: count }, (_, index) => commandOf(first + index))));
      if (pending.length >= batchesInFlight) await pending.shift();
      // What was not applied yet is bounded too: then the figure of memory is that of a node which keeps up.
      if (first % (64 * batchCommands) === 0) {
        await log.counter("name-0").get();
        note(`${figure(first)} after ${figure((performance.now() - began) / 1000)} s`);
      }
    }
    await Promise.all(pending);
    const counter = await log.counter("name-0").get();
    const register = (await log.register("name-0").get())?.version ?? 0;
    const commandsPerSecond = commands / ((performance.now() - began) / 1000);
    const wanted: StartWanted = { dir, name: "name-0", counter, register };
    if (counter !== Math.ceil(commands / names)) throw new Error(`the counter is ${counter}`);
    return { wanted, made: { commands, makingMiB: memory / 1024 / 1024, commandsPerSecond } };
  } finally {
    clearInterval(look);
    await log.close();
  }
}
