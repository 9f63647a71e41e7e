import { parseAddress, showAddress } from "../base/address.ts";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { GrpcChannel } from "./grpc-channel.ts";
import type { NodeLink } from "./node-link.ts";
import { ServiceLink } from "./service-link.ts";

/** The nodes of one cluster as this client knows them: those it was given, those of leaders it was sent to, and a link to each. */
export class Nodes {
  readonly #addresses: string[];
  readonly #links = new Map<string, NodeLink>();
  #closed = false;
  /** The node that was last seen to lead: where whoever needs the leader looks first. */
  leader: string;

  /** `own` is the node of this process, which is asked before all others. There must be an address or a node. */
  constructor(addresses: readonly string[], own?: NodeLink) {
    this.#addresses = [...addresses];
    if (own !== undefined) {
      this.#addresses = [own.address, ...addresses.filter((address) => address !== own.address)];
      this.#links.set(own.address, own);
    }
    this.leader = this.#addresses[0]!;
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** Takes an address that a node gave. False where it is none, or too many are known. */
  learn(address: string): boolean {
    if (this.#addresses.includes(address)) return true;
    const parsed = parseAddress(address);
    if (typeof parsed === "string" || parsed.port === 0) return false;
    if (this.#addresses.length >= limits.clientNodesMax) return false;
    this.#addresses.push(address);
    return true;
  }

  /** The address after this one, all round. */
  after(address: string): string {
    const index = this.#addresses.indexOf(address);
    return this.#addresses[(index + 1) % this.#addresses.length]!;
  }

  /** Throws CLOSED. */
  link(address: string): NodeLink {
    if (this.#closed) throw new PaxlogError("CLOSED", "the log was closed");
    let link = this.#links.get(address);
    if (link === undefined) {
      link = new ServiceLink(new GrpcChannel(address));
      this.#links.set(address, link);
    }
    return link;
  }

  /** Whether the node could be connected to within the time. */
  async connected(address: string, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    if (this.#closed || signal?.aborted) return false;
    return (await this.link(address).connected(timeoutMs, signal)) && !this.#closed && !signal?.aborted;
  }

  close(): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }
}

/** The node cannot be reached, so nothing was sent. */
export function noConnection(address: string): PaxlogError {
  const message = `no connection to ${address}: check the address, and that the node runs`;
  return new PaxlogError("UNAVAILABLE", message, { facts: { address } });
}

/** Throws INVALID_ARGUMENT that names every address that is none. */
export function parseAddresses(addresses: string | readonly string[]): string[] {
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
