import { limits } from "../base/limits.ts";
import type { NodeId, Uid } from "../base/types.ts";
import type { HelloMessage } from "../core/message.ts";
import type { PeerNode } from "./peer-service.ts";

/**
 * Numbers for the nonvoters that are connected to this node. They have none of their own, since nobody counts them; a number is
 * above those of all members, means nothing to any other node, and is never used twice.
 */
export class NonvoterNodes {
  readonly #memberNames: ReadonlySet<string>;
  readonly #nodes = new Map<Uid, PeerNode>();
  #lastId: number;

  constructor(members: readonly PeerNode[]) {
    this.#memberNames = new Set(members.map(({ name }) => name));
    this.#lastId = limits.votersMax;
  }

  /** The same node for each stream of one directory; or why there is none. */
  nodeOf({ name, nodeUid }: HelloMessage): PeerNode | string {
    const known = this.#nodes.get(nodeUid);
    if (known !== undefined) return known;
    if (this.#memberNames.has(name)) return `the nonvoter that dialed has the name of a member, ${name}`;
    if (this.#nodes.size >= limits.nonvotersMax) return `${limits.nonvotersMax} nonvoters are connected already`;
    this.#lastId += 1;
    const node = { nodeId: this.#lastId as NodeId, name, address: "" };
    this.#nodes.set(nodeUid, node);
    return node;
  }

  /** Its last stream ended. */
  forget(id: NodeId): void {
    for (const [uid, node] of this.#nodes) if (node.nodeId === id) this.#nodes.delete(uid);
  }
}
