import type { LocalNode } from "#src/cli/local-cluster";
import { Relay } from "./relay.ts";

/** A direction of a link: what `from` says to `to`. "clients" are all of them. */
export interface Link {
  readonly from: LocalNode | "clients";
  readonly to: LocalNode | "clients";
}

/** The links between the nodes of a cluster, and between its clients and them: each goes through a relay. */
export class Network {
  readonly #nodes: readonly LocalNode[];
  /** By who dials, and the node that is dialed. */
  readonly #relays = new Map<string, Relay>();

  private constructor(nodes: readonly LocalNode[]) {
    this.#nodes = nodes;
  }

  static async open(nodes: readonly LocalNode[]): Promise<Network> {
    const network = new Network(nodes);
    for (const to of nodes) {
      network.#relays.set(nameOf("clients", to), await Relay.listen(to.clientAddress));
      for (const from of nodes) {
        if (from !== to) network.#relays.set(nameOf(from, to), await Relay.listen(to.peerAddress!));
      }
    }
    return network;
  }

  get clientAddresses(): string {
    return this.#nodes.map((node) => this.#relay("clients", node).address).join(",");
  }

  /** Of `paxlog serve`: so that the node, and who asks it for the leader, finds every other one through its relay. */
  flagsOf(node: LocalNode): string[] {
    const addressOf = (to: LocalNode) => (to === node ? node.peerAddress : this.#relay(node, to).address);
    const members = this.#nodes.map((to) => `${to.id}=${addressOf(to)}`).join(",");
    return ["--cluster", members, "--advertise", this.#relay("clients", node).address];
  }

  cut(links: readonly Link[]): void {
    for (const { from, to } of links) {
      this.#relays.get(nameOf(from, to))?.cut("there");
      this.#relays.get(nameOf(to, from))?.cut("back");
    }
  }

  /** With `reset` the connections of what was cut are gone; otherwise what was sent meanwhile arrives. */
  heal({ reset }: { readonly reset: boolean }): void {
    for (const relay of this.#relays.values()) {
      if (!relay.isCut("there") && !relay.isCut("back")) continue;
      if (reset) relay.reset();
      relay.heal("there");
      relay.heal("back");
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#relays.values()].map((relay) => relay.close()));
  }

  #relay(from: LocalNode | "clients", to: LocalNode): Relay {
    return this.#relays.get(nameOf(from, to))!;
  }
}

const idOf = (end: LocalNode | "clients"): string => (end === "clients" ? end : end.id);
const nameOf = (from: LocalNode | "clients", to: LocalNode | "clients"): string => `${idOf(from)}>${idOf(to)}`;

/** Both directions of each of these links. */
export const bothWays = (links: readonly Link[]): Link[] =>
  links.flatMap(({ from, to }) => [
    { from, to },
    { from: to, to: from },
  ]);
