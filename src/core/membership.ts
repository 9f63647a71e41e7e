import { firstConfigId, type NodeId, noNode } from "../base/types.ts";
import type { Context } from "./context.ts";
import type { Genesis } from "./durable.ts";
import type {
  GenesisAckMessage,
  GenesisMessage,
  HelloMessage,
  Member,
  RefusedMessage,
  StartedMessage,
} from "./message.ts";
import type { Nonvoters } from "./nonvoters.ts";

export const protocolVersion = 1;

/** Refusals that both sides come to. */
const mutualCodes: ReadonlySet<RefusedMessage["code"]> = new Set(["FOREIGN_CLUSTER", "CLUSTER_MISMATCH"]);

type Refusal = { readonly code: RefusedMessage["code"]; readonly reason: string };

/** Identity, Hello, and genesis (docs/protocol.md, section 2): who is who, and when this cluster may begin. */
export class Membership {
  readonly #ctx: Context;
  readonly #nonvoters: Nonvoters;
  /** The last acceptable Hello of each peer. Only their messages are listened to. */
  readonly #hellos = new Map<NodeId, HelloMessage>();
  readonly #dialed = new Set<NodeId>();
  readonly #refusedBy = new Set<NodeId>();
  readonly #acks = new Set<NodeId>();
  #writing = false;

  constructor(ctx: Context, nonvoters: Nonvoters) {
    this.#ctx = ctx;
    this.#nonvoters = nonvoters;
  }

  get genesis(): Genesis | undefined {
    return this.#ctx.durable.genesis;
  }

  get started(): boolean {
    return this.#ctx.durable.started;
  }

  /** Those without whom the cluster cannot begin: it needs all of them once, each heard and reached. */
  get missing(): readonly NodeId[] {
    if (this.started) return [];
    return this.#ctx.peers.filter((peer) => !this.#dialed.has(peer) || !this.#hellos.has(peer));
  }

  hello(): HelloMessage {
    const { options, identity, self, durable } = this.#ctx;
    return {
      kind: "hello",
      clusterId: durable.genesis?.clusterId ?? "",
      configId: firstConfigId,
      nodeUid: identity.nodeUid,
      incarnation: identity.incarnation,
      name: identity.name,
      protocolVersion,
      peerAddress: options.members[self - 1]?.peerAddress ?? "",
      clientAddress: options.clientAddress,
      started: durable.started,
      names: options.members.map((member) => member.name),
      nonvoter: this.#ctx.role === "nonvoter",
    };
  }

  isKnown(peer: NodeId): boolean {
    return this.#hellos.has(peer) || this.#nonvoters.has(peer);
  }

  onLink(peer: NodeId, direction: "dialed" | "incoming", up: boolean): void {
    if (direction !== "dialed") return;
    if (up) this.#dialed.add(peer);
    else this.#dialed.delete(peer);
  }

  onHello(from: NodeId, stream: number, hello: HelloMessage): void {
    if (!this.#ctx.isVoter(from)) return this.#onNonvoter(from, stream, hello);
    const refusal = this.#judge(from, hello);
    if (refusal !== undefined) {
      this.#ctx.effects.push({ kind: "refuse", to: from, stream, message: { kind: "refused", ...refusal } });
      // The other side refuses this node for the same reason, but its word may be lost with the stream.
      if (mutualCodes.has(refusal.code)) this.#countRefusal(from, refusal.code, refusal.reason);
      return;
    }
    this.#hellos.set(from, hello);
    this.#refusedBy.delete(from);
    if (hello.started) this.learnStarted();
    this.#advance();
  }

  /**
   * A node that has not started stops at the first refusal: nothing is lost by that. One that has may be right where the other
   * is wrong, so it stops only when those that refuse it leave no quorum.
   */
  onRefused(from: NodeId, message: RefusedMessage): void {
    this.#countRefusal(from, message.code, message.reason);
  }

  onGenesis(from: NodeId, message: GenesisMessage): void {
    const own = this.genesis;
    if (own !== undefined) {
      if (own.clusterId === message.clusterId) this.#acknowledge(from);
      return;
    }
    if (this.#ctx.role === "nonvoter") return this.#adoptAsNonvoter(message);
    const { self, identity } = this.#ctx;
    const me = message.members[self - 1];
    const namesMe = me !== undefined && me.name === identity.name && me.nodeUid === identity.nodeUid;
    if (namesMe && message.members.length === this.#ctx.voters.length) this.#adopt(message);
  }

  onGenesisAck(from: NodeId, message: GenesisAckMessage): void {
    const genesis = this.genesis;
    if (genesis?.clusterId !== message.clusterId || genesis.members[from - 1]?.nodeUid !== message.nodeUid) return;
    this.#acks.add(from);
    this.#startIfAcknowledged();
  }

  onStarted(message: StartedMessage): void {
    if (this.genesis?.clusterId === message.clusterId) this.learnStarted();
  }

  /** Only members of a started cluster take part in elections, so a heartbeat says as much as Started. */
  learnStarted(): void {
    if (this.genesis === undefined || this.started || this.#writing) return;
    this.#writing = true;
    this.#ctx.writeSuperblock({ started: true }, "started");
  }

  /** Goes on with the genesis as soon as it can: a single node needs nobody for it. */
  onTick(): void {
    this.#advance();
  }

  /** A round passed: say again what may have been lost. */
  onRound(): void {
    if (this.genesis === undefined || this.started || !this.#isMaker) return;
    this.#startIfAcknowledged();
    for (const peer of this.#ctx.peers) if (!this.#acks.has(peer)) this.#sendGenesis(peer);
  }

  onGenesisDurable(): void {
    this.#writing = false;
    const { clusterId } = this.genesis!;
    this.#ctx.log.setFirstHash(this.#ctx.options.firstHash(clusterId));
    if (this.#isMaker) {
      this.#startIfAcknowledged();
      for (const peer of this.#ctx.peers) this.#sendGenesis(peer);
    } else if (this.#ctx.role === "nonvoter") {
      for (const peer of this.#ctx.peers) this.#acknowledge(peer);
    } else {
      this.#acknowledge(this.#ctx.voters[0]!);
    }
  }

  onStartedDurable(): void {
    this.#writing = false;
    this.#nonvoters.tellGenesis();
    if (this.#isMaker) this.#ctx.send(this.#ctx.peers, { kind: "started", clusterId: this.genesis!.clusterId });
  }

  /** Its refusal says nothing about this node: any number of nonvoters may come from elsewhere. */
  #onNonvoter(from: NodeId, stream: number, hello: HelloMessage): void {
    const refusal = this.#judgeVersion(hello) ?? this.#judgeCluster(hello) ?? this.#judgeNames(hello);
    if (refusal === undefined) return this.#nonvoters.welcome(from, stream, hello);
    this.#ctx.effects.push({ kind: "refuse", to: from, stream, message: { kind: "refused", ...refusal } });
  }

  #countRefusal(from: NodeId, code: RefusedMessage["code"], reason: string): void {
    this.#refusedBy.add(from);
    const { quorums, voters, options } = this.#ctx;
    if (this.started && voters.length - this.#refusedBy.size >= quorums.prepare) return;
    const name = options.members[from - 1]!.name;
    this.#ctx.stop(code, `node ${name} and this node do not belong together: ${reason}`, { node: name });
  }

  get #isMaker(): boolean {
    return this.#ctx.self === this.#ctx.voters[0];
  }

  /** Makes the genesis when all configured voters have met, or goes on with one that is half way round. */
  #advance(): void {
    const { peers, options, durable } = this.#ctx;
    if (this.#writing || !this.#isMaker) return;
    if (durable.genesis !== undefined) return;
    const fresh = peers.every((peer) => this.#dialed.has(peer) && this.#hellos.get(peer)?.clusterId === "");
    if (!fresh) return;
    this.#writing = true;
    const genesis = { clusterId: options.freshClusterId, nodeId: this.#ctx.self, members: this.#members() };
    this.#ctx.writeSuperblock({ genesis }, "genesis");
  }

  /** All members have the genesis durably (a single node has nobody to wait for): the cluster starts. */
  #startIfAcknowledged(): void {
    if (this.#isMaker && this.#ctx.peers.every((peer) => this.#acks.has(peer))) this.learnStarted();
  }

  #members(): Member[] {
    return this.#ctx.options.members.map((member, index) => {
      const nodeId = this.#ctx.voters[index]!;
      const hello = nodeId === this.#ctx.self ? this.hello() : this.#hellos.get(nodeId)!;
      const { nodeUid, clientAddress } = hello;
      return { nodeId, nodeUid, name: member.name, peerAddress: member.peerAddress, clientAddress };
    });
  }

  #adopt(message: GenesisMessage): void {
    if (this.#writing) return;
    this.#writing = true;
    const { clusterId, members } = message;
    this.#ctx.writeSuperblock({ genesis: { clusterId, nodeId: this.#ctx.self, members } }, "genesis");
  }

  /** Who tells a nonvoter has started, and needs nothing of it. */
  #adoptAsNonvoter(message: GenesisMessage): void {
    if (this.#writing) return;
    this.#writing = true;
    const { clusterId, members } = message;
    this.#ctx.writeSuperblock({ genesis: { clusterId, nodeId: noNode, members }, started: true }, "genesis");
  }

  #acknowledge(to: NodeId): void {
    const { clusterId } = this.genesis!;
    this.#ctx.send(to, { kind: "genesisAck", clusterId, nodeUid: this.#ctx.identity.nodeUid });
  }

  #sendGenesis(to: NodeId): void {
    const { clusterId, members } = this.genesis!;
    this.#ctx.send(to, { kind: "genesis", clusterId, members });
  }

  /** Why a Hello cannot be accepted, if so. */
  #judge(from: NodeId, hello: HelloMessage): Refusal | undefined {
    const refusal = this.#judgeVersion(hello) ?? this.#judgeCluster(hello);
    if (refusal !== undefined) return refusal;
    if (!this.started) {
      const mismatch = this.#judgeNames(hello);
      if (mismatch !== undefined) return mismatch;
    }
    const member = this.genesis?.members[from - 1];
    if (member !== undefined && member.nodeUid !== hello.nodeUid) {
      const remedy = this.started
        ? "a wiped node cannot come back under its old name: restore its directory, or replace the member"
        : "the cluster had not started: empty the directories of all its nodes and start them again";
      return { code: "NODE_REPLACED", reason: `${hello.name} was another directory when the cluster began; ${remedy}` };
    }
    const last = this.#hellos.get(from);
    if (last !== undefined && last.nodeUid === hello.nodeUid && hello.incarnation < last.incarnation) {
      const reason = `incarnation ${hello.incarnation} after ${last.incarnation}: an older copy of the directory was put back`;
      return { code: "OLD_INCARNATION", reason };
    }
    return undefined;
  }

  #judgeVersion(hello: HelloMessage): Refusal | undefined {
    if (hello.protocolVersion === protocolVersion) return undefined;
    const reason = `protocol version ${hello.protocolVersion} meets ${protocolVersion}; run the same release on all nodes`;
    return { code: "CLUSTER_MISMATCH", reason };
  }

  #judgeCluster(hello: HelloMessage): Refusal | undefined {
    const own = this.genesis?.clusterId ?? "";
    if (hello.clusterId === "" || own === "" || hello.clusterId === own) return undefined;
    return {
      code: "FOREIGN_CLUSTER",
      reason: `its directory belongs to cluster ${hello.clusterId}, this one is ${own}`,
    };
  }

  #judgeNames(hello: HelloMessage): Refusal | undefined {
    const [theirs, ours] = [hello.names, this.#ctx.options.members.map(({ name }) => name)];
    if (theirs.join() === ours.join()) return undefined;
    const reason = `it was started with members [${theirs.join(", ")}], others with [${ours.join(", ")}]`;
    return { code: "CLUSTER_MISMATCH", reason };
  }
}
