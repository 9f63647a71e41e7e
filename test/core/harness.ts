// A cluster of real replicas whose messages and disks move only when a test says so.
import { createHash } from "node:crypto";
import { limits } from "../../src/base/limits.ts";
import { hashOfText } from "../../src/base/tag-hash.ts";
import { firstPosition, firstSlot, type Hash, type NodeId, type Slot, type Uid } from "../../src/base/types.ts";
import { noBallot } from "../../src/core/ballot.ts";
import type { DurableState, LogBase, Recovered } from "../../src/core/durable.ts";
import type { AppendAnswer, Effect, SearchEffect } from "../../src/core/effect.ts";
import { type Entry, type EntryMaker, nextPositionOf } from "../../src/core/entry.ts";
import type { AppendProposal, Event, MachineCounts, Proposal } from "../../src/core/event.ts";
import type { Guards } from "../../src/core/guards.ts";
import type { Message, MessageKind } from "../../src/core/message.ts";
import { Replica } from "../../src/core/replica.ts";
import type { EntryParts, SequencerSnapshot } from "../../src/core/sequencer.ts";
import { LogState } from "../../src/sequencer/log-state.ts";
import { LogSequencer } from "../../src/sequencer/sequencer.ts";

const digest = (text: string): string => createHash("md5").update(text).digest("hex");
export const firstHash = (clusterId: Uid): Hash => digest(`first ${clusterId}`) as Hash;

/** Entries with an honest 128-bit hash chain; the bytes are only the batch, since the core never looks inside. */
export const makeEntry: EntryMaker = (header, payload) => {
  const hash = digest(JSON.stringify(header) + Buffer.from(payload.batch).toString("hex")) as Hash;
  return { ...header, hash, bytes: Buffer.concat([payload.guards, payload.batch]) };
};

/** Batches are text here: types and tags are words of it, "#word" a tag and "!word" a type; a batch is one record. */
export const parts: EntryParts = {
  batchOf: (entry) => entry.bytes.subarray(entry.guardLength),
  guardsOf: (entry) => entry.bytes.subarray(0, entry.guardLength),
  checksum: () => 0,
  sessionEnd: (session, end) => {
    const text = `!$session ${session} ${end}`;
    return { batch: Buffer.from(text), guards: guardsOfText(text) };
  },
  match: (entry, { query, from, end }) => {
    if (entry.kind !== "batch" || entry.firstPosition < from || entry.firstPosition >= end) return 0;
    const words = wordsOf(Buffer.from(parts.batchOf(entry)).toString());
    const matches = query.items.some(
      ({ types, tags }) =>
        (types.length === 0 || types.some((type) => words.includes(`!${type}`))) &&
        tags.every((tag) => words.includes(`#${tag}`)),
    );
    return matches ? entry.firstPosition : 0;
  },
};

const wordsOf = (text: string): string[] => text.split(" ").filter((word) => /^[#!]/.test(word));

/** The hashes that the entry of such a batch carries. */
export function guardsOfText(text: string): Uint8Array {
  const words = wordsOf(text);
  const guards = Buffer.alloc(8 * words.length);
  for (const [index, word] of words.entries()) {
    const { low, high } = hashOfText(word.slice(1), word.startsWith("#") ? "tag" : "type");
    guards.writeUInt32LE(low, 8 * index);
    guards.writeUInt32LE(high, 8 * index + 4);
  }
  return guards;
}

type WithoutId<P> = P extends Proposal ? Omit<P, "requestId"> : never;
export type ControlProposal = WithoutId<Exclude<Proposal, AppendProposal>>;

export interface Wire {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly stream: number;
  readonly message: Message;
}

type KeepEffect = Extract<Effect, { kind: "writeSnapshot" | "trimLog" | "receiveSnapshot" | "sendSnapshot" }>;
type DiskEffect = Extract<Effect, { kind: "appendGroup" | "replaceGroup" | "writeSuperblock" | "installSnapshot" }>;

/** A snapshot on a disk; its name is that of its content. */
interface TestSnapshot {
  readonly base: LogBase;
  readonly rootHash: Hash;
  readonly state: SequencerSnapshot;
}

/** A manifest is its root hash here, and snapshots consist of two chunks. */
const chunkCount = 2;

const emptyBase: LogBase = { slot: firstSlot, hash: "" as Hash, position: firstPosition, time: 0 };
/** Of all disks of a test file, by root hash. */
const allSnapshots = new Map<string, TestSnapshot>();

/** What survives a crash: groups and superblocks up to the last flush. */
class TestDisk {
  readonly log: Entry[] = [];
  logBallot = noBallot;
  state: DurableState = { genesis: undefined, started: false, promised: noBallot, acceptedBallot: noBallot };
  pending: DiskEffect[] = [];
  incarnation = 0;
  #formats = 1;
  /** Of slots below it the log has none. */
  begin: LogBase = emptyBase;
  snapshot: TestSnapshot | undefined;
  headSlot = 0;
  /** Of another node's snapshot, by root hash. */
  readonly received = new Map<string, number>();

  /** The entry in a slot. */
  at(slot: number): Entry | undefined {
    return this.log[slot - this.begin.slot];
  }

  apply(effect: DiskEffect): void {
    if (effect.kind === "installSnapshot") {
      this.snapshot = allSnapshots.get(effect.snapshot.rootHash);
      this.begin = effect.begin;
      this.log.length = 0;
      return;
    }
    if (effect.kind === "writeSuperblock") {
      this.state = effect.state;
      return;
    }
    this.log.length = (effect.kind === "replaceGroup" ? effect.base.slot : effect.firstSlot) - this.begin.slot;
    this.log.push(...effect.entries);
    if (effect.kind === "replaceGroup") this.logBallot = effect.ballot;
  }

  /** An empty directory under the same name: another uid from then on. */
  wipe(): void {
    this.log.length = 0;
    this.begin = emptyBase;
    this.snapshot = undefined;
    this.logBallot = noBallot;
    this.state = { genesis: undefined, started: false, promised: noBallot, acceptedBallot: noBallot };
    this.incarnation = 0;
    this.#formats += 1;
  }

  recover(name: string): Recovered {
    this.pending = [];
    this.incarnation += 1;
    const last = this.log[this.log.length - 1];
    const end = this.begin.slot + this.log.length;
    const known = Math.min(end, this.snapshot?.base.slot ?? 0);
    const decidedEnd = Math.max(last?.floor ?? 1, this.begin.slot, known) as Slot;
    const before = this.at(decidedEnd - 1);
    const base =
      before === undefined
        ? { ...this.begin, slot: decidedEnd }
        : { slot: decidedEnd, hash: before.hash, position: nextPositionOf(before), time: before.time };
    const ahead =
      this.logBallot.n > this.state.acceptedBallot.n || this.logBallot.nodeId > this.state.acceptedBallot.nodeId;
    const acceptedBallot =
      ahead && this.logBallot.n >= this.state.acceptedBallot.n ? this.logBallot : this.state.acceptedBallot;
    const identity = { name, nodeUid: digest(`${name} ${this.#formats}`) as Uid, incarnation: this.incarnation };
    const decided = new LogState(this.snapshot?.state);
    for (let slot = decided.end; slot < decidedEnd; slot = (slot + 1) as Slot) decided.apply(this.at(slot)!, parts);
    const window = this.log.slice(decidedEnd - this.begin.slot);
    const state = { ...this.state, acceptedBallot };
    const logBegin = this.begin;
    const snapshot =
      this.snapshot === undefined ? undefined : { slot: this.snapshot.base.slot, rootHash: this.snapshot.rootHash };
    return { identity, state, logBegin, snapshot, base, window, sequencer: decided.save() };
  }
}

export class TestNode {
  readonly id: NodeId;
  readonly name: string;
  readonly disk = new TestDisk();
  readonly answers = new Map<number, AppendAnswer>();
  readonly ready: number[] = [];
  /** Searches of the history that wait for `answerSearches`. */
  searches: SearchEffect[] = [];
  readonly stops: string[] = [];
  /** From storage, on their way. */
  events: Event[] = [];
  /** Its snapshots come out otherwise than those of others. */
  spoils = false;
  /** All effects since the last `takeEffects`. */
  effects: Effect[] = [];
  replica!: Replica;
  isUp = true;

  constructor(id: NodeId) {
    this.id = id;
    this.name = `n${id}`;
  }

  takeEffects(): Effect[] {
    const taken = this.effects;
    this.effects = [];
    return taken;
  }

  get view() {
    return this.replica.view;
  }

  /** The slots' batches as text, for comparing logs at a glance. */
  get logText(): string {
    const { log } = this.replica;
    const entries = log.range(log.memoryBegin, log.acceptedEnd, Number.MAX_SAFE_INTEGER);
    return entries.map((entry) => Buffer.from(entry.bytes).toString()).join(" ");
  }
}

export class TestCluster {
  readonly nodes: TestNode[];
  wires: Wire[] = [];
  /** Directed links that lose everything: "from>to". */
  readonly cut = new Set<string>();
  /** Nodes whose disks have no room. */
  readonly diskFull = new Set<number>();
  readonly inReserve = new Set<number>();
  /** What nodes say of their machines; absent: they run none. */
  readonly machines = new Map<number, MachineCounts>();
  /** So many entries are in the answer to a Fetch. */
  entriesMax = Number.POSITIVE_INFINITY;
  /** Messages that a test loses on the way. */
  loses: (wire: Wire) => boolean = () => false;
  readonly #voterCount: number;
  readonly #streams = new Map<string, number>();
  #streamCount = 0;
  #requestCount = 0;
  wallMs = 1_000;

  /** `nonvoters` more nodes follow: to the voters their numbers are those of strangers. */
  constructor(count: number, nonvoters = 0) {
    this.#voterCount = count;
    this.nodes = Array.from({ length: count + nonvoters }, (_, index) => new TestNode((index + 1) as NodeId));
    for (const node of this.nodes) this.#boot(node);
  }

  node(id: number): TestNode {
    return this.nodes[id - 1]!;
  }

  /** Steps one event and the end of the turn. */
  step(id: number, event: Event): void {
    const node = this.node(id);
    const effects: Effect[] = [];
    node.replica.step(event, effects);
    node.replica.step({ kind: "turnEnd" }, effects);
    for (const effect of effects) this.#carryOut(node, effect);
    node.effects.push(...effects);
  }

  /** Makes the next `count` submissions of a node durable (all if not given), one by one. */
  flush(id: number, count = Number.POSITIVE_INFINITY): void {
    const { disk } = this.node(id);
    for (let done = 0; done < count && disk.pending.length > 0; done += 1) {
      const effect = disk.pending.shift()!;
      disk.apply(effect);
      if (effect.kind === "installSnapshot") {
        const { ticket, snapshot, begin: logBegin } = effect;
        const state = allSnapshots.get(snapshot.rootHash)!.state;
        this.step(id, { kind: "installed", ticket, snapshot, logBegin, state });
      } else {
        this.step(id, { kind: "durable", ticket: effect.ticket });
      }
    }
  }

  /** Hands over messages in flight that match, once; returns how many. */
  deliver(matches: (wire: Wire) => boolean = () => true): number {
    const now = this.wires.filter(matches);
    this.wires = this.wires.filter((wire) => !matches(wire));
    for (const wire of now) this.inject(wire);
    return now.length;
  }

  /** Hands over one message, as often as a test likes. */
  inject(wire: Wire): void {
    const { from, to, stream, message } = wire;
    if (!this.node(to).isUp || this.cut.has(`${from}>${to}`)) return;
    this.step(to, { kind: "receive", from, stream, message });
  }

  drop(matches: (wire: Wire) => boolean): void {
    this.wires = this.wires.filter((wire) => !matches(wire));
  }

  /** Flushes and delivers until nothing moves. */
  settle(): void {
    for (let round = 0; round < 500; round += 1) {
      for (const node of this.nodes) if (node.isUp) this.flush(node.id);
      for (const node of this.nodes) if (node.isUp) this.#background(node);
      const rests = this.nodes.every((node) => node.disk.pending.length === 0 && node.events.length === 0);
      if (this.deliver() === 0 && rests) return;
    }
    throw new Error("the cluster does not come to rest");
  }

  /** Tells a node what its storage did beside the log. */
  #background(node: TestNode): void {
    for (const event of node.events.splice(0)) this.step(node.id, event);
    this.#trim(node);
  }

  tick(id: number, count = 1): void {
    for (let done = 0; done < count; done += 1)
      this.step(id, {
        kind: "tick",
        wallMs: this.wallMs,
        monotonicMs: this.wallMs,
        loopLagMs: 0,
        diskFull: this.diskFull.has(id),
        inReserve: this.inReserve.has(id),
        machines: this.machines.get(id),
      });
  }

  /** Rounds for everybody, at rest after each tick. */
  run(rounds: number): void {
    for (let tick = 0; tick < rounds * 8; tick += 1) {
      this.wallMs += 25;
      for (const node of this.nodes) if (node.isUp) this.tick(node.id);
      this.settle();
    }
  }

  /** Loses everything between a node and these others, both ways. */
  isolate(node: TestNode, others: readonly TestNode[]): void {
    for (const other of others) {
      this.cut.add(`${node.id}>${other.id}`);
      this.cut.add(`${other.id}>${node.id}`);
    }
  }

  connect(from: number, to: number): void {
    // Nobody dials a nonvoter.
    if (to > this.#voterCount) return;
    if (!this.node(from).isUp || !this.node(to).isUp) return;
    this.#streamCount += 1;
    const stream = this.#streamCount;
    this.#streams.set(`${from}>${to}`, stream);
    const [dialer, listener] = [from as NodeId, to as NodeId];
    const [helloOut, helloBack] = [this.node(from).replica.hello(), this.node(to).replica.hello()];
    this.step(to, { kind: "link", peer: dialer, direction: "incoming", stream, up: true });
    this.step(to, { kind: "receive", from: dialer, stream, message: helloOut });
    this.step(from, { kind: "link", peer: listener, direction: "dialed", stream, up: true });
    this.step(from, { kind: "receive", from: listener, stream, message: helloBack });
  }

  connectAll(): void {
    for (const a of this.nodes) for (const b of this.nodes) if (a !== b) this.connect(a.id, b.id);
  }

  disconnect(from: number, to: number): void {
    const stream = this.#streams.get(`${from}>${to}`);
    if (stream === undefined) return;
    this.#streams.delete(`${from}>${to}`);
    const [dialer, listener] = [from as NodeId, to as NodeId];
    if (this.node(to).isUp) this.step(to, { kind: "link", peer: dialer, direction: "incoming", stream, up: false });
    if (this.node(from).isUp) this.step(from, { kind: "link", peer: listener, direction: "dialed", stream, up: false });
  }

  /** Loses what was not flushed. The peers notice. */
  crash(id: number): void {
    const node = this.node(id);
    node.isUp = false;
    node.disk.pending = [];
    node.events = [];
    this.drop((wire) => wire.from === id || wire.to === id);
    for (const peer of this.nodes) {
      if (peer.id === id) continue;
      this.disconnect(id, peer.id);
      this.disconnect(peer.id, id);
    }
  }

  restart(id: number): void {
    const node = this.node(id);
    node.isUp = true;
    this.#boot(node);
    for (const peer of this.nodes) {
      if (peer.id === id) continue;
      this.connect(id, peer.id);
      this.connect(peer.id, id);
    }
  }

  /** Proposes one batch per text; returns the request ids. */
  propose(id: number, ...texts: string[]): number[] {
    const proposals = texts.map((text) => {
      this.#requestCount += 1;
      const payload = { batch: Buffer.from(text), guards: guardsOfText(text) };
      return { kind: "append" as const, requestId: this.#requestCount, payload, batchChecksum: 0, recordCount: 1 };
    });
    this.step(id, { kind: "propose", monotonicMs: this.wallMs, proposals });
    return proposals.map((proposal) => proposal.requestId);
  }

  /** Proposes one append with guards; returns its request id. */
  proposeGuarded(id: number, text: string, guards: Guards, caller?: number): number {
    this.#requestCount += 1;
    const requestId = this.#requestCount;
    const payload = { batch: Buffer.from(text), guards: guardsOfText(text) };
    const proposal = { kind: "append", requestId, payload, batchChecksum: 0, recordCount: 1, guards, caller } as const;
    this.step(id, { kind: "propose", monotonicMs: this.wallMs, proposals: [proposal] });
    return requestId;
  }

  /** Proposes what is no append; returns its request id. */
  proposeControl(id: number, control: ControlProposal): number {
    this.#requestCount += 1;
    const requestId = this.#requestCount;
    this.step(id, { kind: "propose", monotonicMs: this.wallMs, proposals: [{ ...control, requestId }] });
    return requestId;
  }

  /** Opens a session; the cluster comes to rest. */
  openSession(id: number, ttlMs = 10_000): number {
    const requestId = this.proposeControl(id, { kind: "openSession", ttlMs });
    this.settle();
    const answer = this.node(id).answers.get(requestId);
    if (answer?.kind !== "session") throw new Error(`the session is not opened: ${answer?.kind}`);
    return answer.session;
  }

  /** Answers the searches of a node from its decided log. */
  answerSearches(id: number): number {
    const node = this.node(id);
    const searches = node.searches;
    node.searches = [];
    for (const { searchId, query } of searches) {
      const matches = node.disk.log.map((entry) => parts.match(entry, query)).filter((match) => match > 0);
      const match = (query.want === "first" ? matches[0] : matches[matches.length - 1]) ?? 0;
      this.step(id, { kind: "searched", searchId, monotonicMs: this.wallMs, match });
    }
    return searches.length;
  }

  read(id: number): number {
    this.#requestCount += 1;
    this.step(id, { kind: "read", requestId: this.#requestCount });
    return this.#requestCount;
  }

  /** The node that leads in phase accept. */
  get leader(): TestNode {
    const leaders = this.nodes.filter((node) => node.isUp && node.view.role === "leader" && node.view.established);
    if (leaders.length !== 1) throw new Error(`${leaders.length} established leaders`);
    return leaders[0]!;
  }

  #boot(node: TestNode): void {
    const recovered = node.disk.recover(node.name);
    node.replica = new Replica({
      recovered,
      members: this.nodes.slice(0, this.#voterCount).map(({ name }) => ({ name, peerAddress: `${name}:1` })),
      nonvoter: node.id > this.#voterCount,
      clientAddress: `${node.name}:2`,
      freshClusterId: digest("cluster") as Uid,
      firstHash,
      makeEntry,
      sequencer: new LogSequencer(parts, recovered.sequencer),
      tickMs: 25,
      ticksPerRound: 8,
    });
    node.effects = [];
  }

  #carryOut(node: TestNode, effect: Effect): void {
    switch (effect.kind) {
      case "appendGroup":
      case "replaceGroup":
      case "writeSuperblock":
      case "installSnapshot":
        node.disk.pending.push(effect);
        return;
      case "send":
        for (const to of effect.to) this.#post(node.id, to, effect.message);
        return;
      case "sendEntries": {
        let bytes = 0;
        const { begin } = node.disk;
        const entries = node.disk.log
          .slice(effect.fromSlot - begin.slot, effect.end - begin.slot)
          .filter((entry, index) => {
            bytes += entry.bytes.length;
            return index < this.entriesMax && (index === 0 || bytes <= limits.messageEntryBytes);
          });
        const known = entries[0] === undefined || entries[0].prevHash === effect.prevHash;
        const { requestId, fromSlot, visibleEnd } = effect;
        this.#post(node.id, effect.to, {
          kind: "entries",
          requestId,
          fromSlot,
          entries: known ? entries : [],
          visibleEnd,
        });
        return;
      }
      case "answer":
        node.answers.set(effect.requestId, effect.answer);
        return;
      case "writeSnapshot":
      case "trimLog":
      case "receiveSnapshot":
      case "sendSnapshot":
        return this.#keep(node, effect);
      case "search":
        node.searches.push(effect);
        return;
      case "readReady":
        node.ready.push(effect.requestId);
        return;
      case "stop":
        node.stops.push(`${effect.code}: ${effect.reason}`);
        return;
      default:
        return;
    }
  }

  /** What storage does beside the log, at once; the answer is an event of a later turn. */
  #keep(node: TestNode, effect: KeepEffect): void {
    const { disk } = node;
    switch (effect.kind) {
      case "writeSnapshot": {
        const { base, state } = effect;
        const rootHash = digest(JSON.stringify({ base, state }) + (node.spoils ? node.name : "")) as Hash;
        disk.snapshot = { base, rootHash, state };
        allSnapshots.set(rootHash, disk.snapshot);
        return this.#later(node, { kind: "snapshotDurable", snapshot: { slot: base.slot, rootHash } });
      }
      case "trimLog": {
        // Every entry is a segment of its own here; a later snapshot lets go of more.
        disk.headSlot = effect.head.slot;
        return;
      }
      case "receiveSnapshot": {
        const rootHash = Buffer.from(effect.manifest).toString() as Hash;
        const before = disk.received.get(rootHash) ?? 0;
        const chunksDurable = effect.chunk?.number === before ? before + 1 : before;
        disk.received.set(rootHash, chunksDurable);
        const { slot } = allSnapshots.get(rootHash)!.base;
        const receiving = { slot, rootHash, chunksDurable, chunkCount };
        return this.#later(node, { kind: "snapshotReceiving", receiving });
      }
      case "sendSnapshot": {
        const { requestId, logBegin, chunk } = effect;
        const { base, rootHash } = disk.snapshot!;
        if (chunk?.rootHash === rootHash) {
          const bytes = new Uint8Array(1);
          return this.#post(node.id, effect.to, { kind: "snapshotChunk", requestId, chunk: chunk.number, bytes });
        }
        const manifest = Buffer.from(rootHash);
        return this.#post(node.id, effect.to, { kind: "snapshotMeta", requestId, base, rootHash, logBegin, manifest });
      }
    }
  }

  /** Lets go of what lies below head and snapshot (P9). */
  #trim(node: TestNode): void {
    const { disk } = node;
    const below = Math.min(disk.headSlot, disk.snapshot?.base.slot ?? 0);
    if (below <= disk.begin.slot) return;
    const last = disk.at(below - 1)!;
    const begin = { slot: below as Slot, hash: last.hash, position: nextPositionOf(last), time: last.time };
    disk.log.splice(0, below - disk.begin.slot);
    disk.begin = begin;
    this.#later(node, { kind: "trimmed", logBegin: begin });
  }

  #later(node: TestNode, event: Event): void {
    node.events.push(event);
  }

  #post(from: NodeId, to: NodeId, message: Message): void {
    if (this.cut.has(`${from}>${to}`)) return;
    const stream = this.#streams.get(to > this.#voterCount ? `${to}>${from}` : `${from}>${to}`);
    if (stream === undefined) return;
    const wire = { from, to, stream, message };
    if (!this.loses(wire)) this.wires.push(wire);
  }
}

/** All nodes but the established leader. */
export function followersOf(cluster: TestCluster): TestNode[] {
  const leader = cluster.leader;
  return cluster.nodes.filter((node) => node !== leader);
}

/** A cluster that has a leader. */
export function electedCluster(count: number, nonvoters = 0): TestCluster {
  const cluster = new TestCluster(count, nonvoters);
  cluster.connectAll();
  cluster.run(6);
  return cluster;
}

export const kindIs =
  (kind: MessageKind, to?: number) =>
  (wire: Wire): boolean =>
    wire.message.kind === kind && (to === undefined || wire.to === to);
