import { parseArgs } from "node:util";
import { loadHashing } from "../native/hashing.ts";
import { Coverage } from "./coverage.ts";
import { runSeed } from "./run.ts";

const usage = `usage: npm run sim -- [--seed N] [--from N] [--seeds COUNT] [--trace] [--stop]

  --seed N       one run, of this seed
  --from N       first seed of a range (default 1)
  --seeds COUNT  how many seeds (default 500)
  --trace        print everything that happens
  --stop         end at the first failure

Each seed is one run: nodes, network, disks, clients and faults are drawn from it, so it fails again in the same way.
Exit code: 0 where all runs kept all promises, 1 where one did not, 2 for wrong arguments.`;

interface Arguments {
  readonly from: number;
  readonly count: number;
  readonly trace: boolean;
  readonly stop: boolean;
}

function wholeNumber(text: string | undefined, fallback: number, name: string): number {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`--${name} must be a whole number, not "${text}"`);
  return value;
}

function readArguments(): Arguments {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      from: { type: "string" },
      seeds: { type: "string" },
      trace: { type: "boolean" },
      stop: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    console.log(usage);
    process.exit(0);
  }
  const trace = values.trace === true;
  const stop = values.stop === true;
  if (values.seed !== undefined) return { from: wholeNumber(values.seed, 1, "seed"), count: 1, trace, stop };
  return { from: wholeNumber(values.from, 1, "from"), count: wholeNumber(values.seeds, 500, "seeds"), trace, stop };
}

async function main(): Promise<number> {
  const { from, count, trace, stop } = readArguments();
  const hashing = await loadHashing();
  const coverage = new Coverage();
  const begin = performance.now();
  let virtualMs = 0;
  let failures = 0;
  let runs = 0;
  for (let seed = from; seed < from + count; seed += 1) {
    runs += 1;
    try {
      const report = runSeed({
        seed,
        hashing,
        watch: trace ? (line, isQuiet) => isQuiet || console.log(line) : undefined,
      });
      coverage.merge(report.coverage);
      virtualMs += report.virtualMs;
      if (count === 1) console.log(`seed ${seed}: ${report.steps} steps, trace hash ${report.traceHash}`);
    } catch (error) {
      failures += 1;
      console.log(error instanceof Error ? error.message : String(error));
      if (stop) break;
    }
  }
  const seconds = (performance.now() - begin) / 1000;
  for (const [name, value] of coverage.entries()) console.log(`${name.padEnd(32)} ${value}`);
  console.log(
    `${runs} runs, ${failures} failed; ${(runs / seconds).toFixed(1)} seeds/s, ` +
      `${(virtualMs / 1000 / seconds).toFixed(1)} virtual seconds per second, hashing ${hashing.implementation}`,
  );
  return failures === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  process.exitCode = 2;
}
