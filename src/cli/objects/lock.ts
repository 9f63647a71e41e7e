import { spawn } from "node:child_process";
import { constants } from "node:os";
import { Command } from "commander";
import { limits } from "../../base/limits.ts";
import type { Lease } from "../../client/objects/handles.ts";
import { addressList, wholeNumber } from "../arguments.ts";
import { exitCodes } from "../exit-codes.ts";
import { Output } from "../output.ts";

interface LockFlags {
  readonly to: string;
  readonly ttl: number;
  readonly value: string;
  /** False with --no-wait. */
  readonly wait: boolean;
}

export function lockCommand(): Command {
  return new Command("lock")
    .description("run a command while holding a lease: nobody else holds it meanwhile")
    .argument("<name>", "of the lease")
    .argument("<command...>", "what to run, behind --")
    .requiredOption("--to <addresses>", "client addresses of the nodes: HOST:PORT,...", addressList)
    .option(
      "--ttl <seconds>",
      "how long others wait for a holder that gives no sign of life",
      wholeNumber({ min: 1, max: limits.sessionTtlMsMax / 1000 }),
      limits.leaseTtlMsDefault / 1000,
    )
    .option("--value <text>", "shown to others", `process ${process.pid}`)
    .option("--no-wait", "do not stand in line: exit code 8 where somebody holds it")
    .addHelpText(
      "after",
      `
The command finds its fencing token in PAXLOG_TOKEN: what it writes to should refuse smaller ones (append --fencing-token does). When
the lease is lost the command gets SIGTERM, and the exit code is 9; otherwise it is that of the command.

Examples:
  $ paxlog lock nightly --to 127.0.0.1:7101,127.0.0.1:7102 -- ./backup.sh
  $ paxlog lock nightly --no-wait --to 127.0.0.1:7101 -- ./backup.sh`,
    )
    .action(async (name: string, command: readonly string[], flags: LockFlags) => {
      process.exitCode = await lock(name, command, flags, new Output(false));
    });
}

async function lock(name: string, command: readonly string[], flags: LockFlags, output: Output): Promise<number> {
  const { connect } = await import("../../client/connect.ts");
  const log = await connect(flags.to);
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    const { ttl, value, wait } = flags;
    const lease = await log.lease(name, { ttlMs: ttl * 1000, value, wait, signal: stop.signal });
    const code = await runWhileHeld(lease, command, stop.signal);
    const lost = !lease.held;
    await lease.release();
    if (!lost) return code;
    output.note(`paxlog: the lease "${name}" was lost while the command ran`);
    return exitCodes.fenced;
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
    await log.close();
  }
}

/** The exit code of the command; as a shell has it where a signal ended it. */
function runWhileHeld(lease: Lease, command: readonly string[], stop: AbortSignal): Promise<number> {
  const [file, ...args] = command;
  return new Promise((resolve, reject) => {
    const env = { ...process.env, PAXLOG_TOKEN: `${lease.token}` };
    const child = spawn(file!, args, { stdio: "inherit", env });
    const end = () => child.kill("SIGTERM");
    lease.signal.addEventListener("abort", end, { once: true });
    stop.addEventListener("abort", end, { once: true });
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? "SIGTERM"]));
  });
}
