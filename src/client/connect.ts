import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { loadHashing } from "../native/hashing.ts";
import { cancelled, pause, retryDelay } from "./abort.ts";
import { ClientLog } from "./client-log.ts";
import type { ConnectOptions, Log } from "./log.ts";
import { Nodes, parseAddresses } from "./nodes.ts";
import { settingsOf } from "./settings.ts";

/**
 * Opens the log of a cluster. `addresses` are client addresses of its nodes, HOST:PORT, as a list or separated by commas; one
 * that answers is enough, the leader is found through it. Resolves as soon as a first node is connected.
 *
 * Rejects with INVALID_ARGUMENT, with UNAVAILABLE where no node could be reached within `deadlineMs`, with CANCELLED.
 */
export async function connect(addresses: string | readonly string[], options: ConnectOptions = {}): Promise<Log> {
  return connectWith(await loadHashing(), addresses, options);
}

/** As `connect`, with the checksums given. */
export async function connectWith(
  hashing: Hashing,
  addresses: string | readonly string[],
  options: ConnectOptions = {},
): Promise<Log> {
  const settings = settingsOf(options);
  const nodes = new Nodes(parseAddresses(addresses));
  try {
    await firstConnection(nodes, settings.deadlineMs, options.signal);
  } catch (error) {
    nodes.close();
    throw error;
  }
  return new ClientLog(nodes, settings, hashing);
}

async function firstConnection(nodes: Nodes, deadlineMs: number, signal: AbortSignal | undefined): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (let attempt = 0; ; attempt += 1) {
    if (signal?.aborted) throw cancelled(signal, "none");
    const leftMs = end - performance.now();
    if (leftMs <= 0) break;
    const timeoutMs = Math.min(leftMs, limits.clientConnectMs);
    const attempts = nodes.addresses.map(async (address) => {
      if (!(await nodes.connected(address, timeoutMs, signal))) throw new Error(address);
    });
    const connected = await Promise.any(attempts).then(
      () => true,
      () => false,
    );
    if (connected) return;
    await pause(Math.min(leftMs, retryDelay(attempt, limits.clientRetryMsFirst, limits.clientRetryMsMax)), signal);
  }
  const message =
    `none of ${nodes.addresses.join(", ")} could be reached within ${deadlineMs} ms: ` +
    "check that these are client addresses and that the nodes run";
  throw new PaxlogError("UNAVAILABLE", message);
}
