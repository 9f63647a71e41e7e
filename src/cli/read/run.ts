import type { ReadOptions } from "../../client/log.ts";
import type { LogBatch } from "../../client/log-batch.ts";
import type { Output } from "../output.ts";
import { untilStopped } from "../signals.ts";
import { printBatch } from "./print-records.ts";

/** Prints what a read brings until it ends or is stopped. `printed` is told of each batch once it was handed to the output. */
export async function runRead(
  addresses: string,
  options: ReadOptions,
  output: Output,
  printed?: (batch: LogBatch) => void,
): Promise<void> {
  const stop = new AbortController();
  untilStopped().then(() => stop.abort());
  try {
    await readUntil(stop.signal, addresses, options, output, printed);
  } catch (cause) {
    // Whoever stops a reader has seen enough: that is no failure.
    if (!stop.signal.aborted) throw cause;
  }
}

async function readUntil(
  signal: AbortSignal,
  addresses: string,
  options: ReadOptions,
  output: Output,
  printed: ((batch: LogBatch) => void) | undefined,
): Promise<void> {
  const { connect } = await import("../../client/connect.ts");
  const log = await connect(addresses, { signal });
  try {
    for await (const batch of log.read({ ...options, signal }).batches()) {
      if (!printBatch(batch, output, options.direction === "backward")) await output.drained();
      if (output.closed) break;
      printed?.(batch);
    }
  } finally {
    await log.close();
  }
}
