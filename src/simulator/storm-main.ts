import { parseArgs } from "node:util";
import { loadHashing } from "../native/hashing.ts";
import { Coverage } from "./coverage.ts";
import { runStorm } from "./storm.ts";

const usage = `usage: npm run sim:storm -- [--appends COUNT] [--run COUNT] [--from SEED] [--trace]

  --appends COUNT  appends in all (default 1000000)
  --run COUNT      appends of one run, which has a cluster and a seed of its own (default 10000)
  --from SEED      seed of the first run (default 1)
  --trace          print everything that happens

Sessions append through clients that lose answers, retry, repeat and die, while nodes fail. Exit code: 0 where each
request is in the log once, in the order of its session; 1 where one is not; 2 for wrong arguments.`;

function wholeNumber(text: string | undefined, fallback: number, name: string): number {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new TypeError(`--${name} must be a whole number from 1`);
  return value;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      appends: { type: "string" },
      run: { type: "string" },
      from: { type: "string" },
      trace: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    console.log(usage);
    return 0;
  }
  const appends = wholeNumber(values.appends, 1_000_000, "appends");
  const ofRun = wholeNumber(values.run, 10_000, "run");
  const from = wholeNumber(values.from, 1, "from");
  const hashing = await loadHashing();
  const coverage = new Coverage();
  const beganAt = performance.now();
  const seconds = (): string => ((performance.now() - beganAt) / 1000).toFixed(1);
  let [done, virtualMs] = [0, 0];
  for (let seed = from; done < appends; seed += 1) {
    const watch = values.trace === true ? (line: string, isQuiet: boolean) => isQuiet || console.log(line) : undefined;
    try {
      const report = runStorm({ seed, appends: Math.min(ofRun, appends - done), hashing, watch });
      coverage.merge(report.coverage);
      virtualMs += report.virtualMs;
      done += report.appends;
    } catch (error) {
      console.log(error instanceof Error ? error.message : String(error));
      return 1;
    }
    console.log(
      `${done} of ${appends} appends, seed ${seed}, ${Math.round(virtualMs / 1000)} virtual s, ${seconds()} s`,
    );
  }
  for (const [name, value] of coverage.entries()) console.log(`${name.padEnd(32)} ${value}`);
  console.log(`${done} appends: each is in the log once, in the order of its session, and got one answer`);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  process.exitCode = 2;
}
