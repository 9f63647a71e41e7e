import { Client, connectivityState, credentials } from "@grpc/grpc-js";
import { parseAddress, showAddress } from "../base/address.ts";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { onAbort } from "./abort.ts";

/**
 * The nodes of one cluster as this client knows them: the addresses it was given, those of leaders it was sent to, and one
 * connection to each that is used.
 */
export class Nodes {
  readonly #addresses: string[];
  readonly #clients = new Map<string, Client>();
  #closed = false;

  /** Throws INVALID_ARGUMENT that names every address that is none. */
  constructor(addresses: string | readonly string[]) {
    this.#addresses = parseAddresses(addresses);
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** Takes an address that a node gave. False where it is none, or too many are known. */
  learn(address: string): boolean {
    const parsed = parseAddress(address);
    if (typeof parsed === "string" || parsed.port === 0) return false;
    if (this.#addresses.includes(address)) return true;
    if (this.#addresses.length >= limits.clientNodesMax) return false;
    this.#addresses.push(address);
    return true;
  }

  /** The address after this one, all round. */
  after(address: string): string {
    const index = this.#addresses.indexOf(address);
    return this.#addresses[(index + 1) % this.#addresses.length]!;
  }

  client(address: string): Client {
    if (this.#closed) throw new PaxlogError("CLOSED", "the log was closed");
    let client = this.#clients.get(address);
    if (client === undefined) {
      client = new Client(address, credentials.createInsecure(), channelOptions);
      this.#clients.set(address, client);
    }
    return client;
  }

  /** Whether the node could be connected to within the time. Nothing is sent to a node before: what was not sent is not there. */
  async connected(address: string, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    if (this.#closed || signal?.aborted) return false;
    const channel = this.client(address).getChannel();
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) return true;
      if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN) return false;
      const moved = await new Promise<boolean>((resolve) => {
        const forget = onAbort(signal, () => resolve(false));
        channel.watchConnectivityState(state, deadline, (error) => {
          forget();
          resolve(error === undefined);
        });
      });
      if (!moved || this.#closed || signal?.aborted) return false;
    }
  }

  close(): void {
    this.#closed = true;
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }
}

/**
 * Nothing is retried by gRPC: the library knows better what may be sent twice. A proxy from the environment is not used for a
 * cluster's nodes. The window is HTTP/2's: with its default a stream carries a seventh of what it could.
 */
const channelOptions = {
  "grpc.max_send_message_length": limits.messageBytesMax,
  "grpc.max_receive_message_length": limits.messageBytesMax,
  "grpc-node.flow_control_window": limits.http2WindowBytes,
  "grpc.keepalive_time_ms": limits.clientKeepaliveMs,
  "grpc.keepalive_timeout_ms": limits.clientKeepaliveTimeoutMs,
  "grpc.initial_reconnect_backoff_ms": limits.redialMsFirst,
  "grpc.max_reconnect_backoff_ms": limits.clientRedialMsMax,
  "grpc.enable_retries": 0,
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
} as const;

function parseAddresses(addresses: string | readonly string[]): string[] {
  const list = typeof addresses === "string" ? addresses.split(",") : addresses;
  const faults: string[] = [];
  const parsed = new Set<string>();
  for (const text of list) {
    const address = typeof text === "string" ? parseAddress(text.trim()) : "must be a string";
    if (typeof address === "string") faults.push(`"${text}" ${address}`);
    else if (address.port === 0) faults.push(`"${text}" must have the port on which the node listens`);
    else parsed.add(showAddress(address));
  }
  if (parsed.size > limits.clientNodesMax) faults.push(`there are more than ${limits.clientNodesMax} addresses`);
  if (list.length === 0) faults.push("there is no address");
  if (faults.length > 0) {
    throw new PaxlogError("INVALID_ARGUMENT", `connect needs the client addresses of the nodes: ${faults.join("; ")}`);
  }
  return [...parsed];
}
