/** The engine thread of a node: core, network between nodes, and the server for clients. The one place that wires them together. */
import { randomBytes } from "node:crypto";
import type { MessagePort } from "node:worker_threads";
import { isWildcard, parseAddress, showAddress } from "../base/address.ts";
import { assertNever } from "../base/assert.ts";
import { PaxlogError, toPaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { type NodeId, noNode, type Uid } from "../base/types.ts";
import type { Recovered } from "../core/durable.ts";
import { Replica } from "../core/replica.ts";
import { scanBatch } from "../format/batch.ts";
import { firstHash, makeEntryMaker } from "../format/entry.ts";
import { makeEntryParts } from "../format/entry-parts.ts";
import { loadBatchTools } from "../native/batch-tools.ts";
import { loadHashing } from "../native/hashing.ts";
import { builtinNames } from "../objects/builtin-names.ts";
import { Arena } from "../runtime/arena.ts";
import { BackendServer } from "../runtime/backend-server.ts";
import { type OpenedMessage, packError } from "../runtime/channel.ts";
import { systemClock } from "../runtime/clock.ts";
import { Engine } from "../runtime/engine.ts";
import { GateBackend } from "../runtime/gate-backend.ts";
import { History } from "../runtime/history.ts";
import { IndexJobs } from "../runtime/index-jobs.ts";
import { noPeers } from "../runtime/no-peers.ts";
import { SnapshotExchange } from "../runtime/snapshot-exchange.ts";
import { StorageLink } from "../runtime/storage-link.ts";
import { LogSequencer } from "../sequencer/sequencer.ts";
import { NodeDisk } from "../storage/node-disk.ts";
import { LogReader } from "../storage/reader.ts";
import { SnapshotFiles } from "../storage/snapshot-files.ts";
import type { SpaceState } from "../storage/space.ts";
import type { LogBackend } from "../transport/backend.ts";
import { type ClientServer, startClientServer } from "../transport/client-server.ts";
import { GrpcPeerNetwork } from "../transport/grpc-peer-network.ts";
import type { PeerNetwork } from "../transport/peer-network.ts";
import { type CheckedConfig, clientListen, isAlone } from "./config.ts";
import type { EngineStart, FromThread, ToThread } from "./messages.ts";
import { countsOf, onFirstCommand, PortsToMachines } from "./object-ports.ts";

/** Resolves when the engine is closed. What goes wrong is told to the owner. */
export async function runEngine(start: EngineStart, owner: MessagePort): Promise<void> {
  const thread = new EngineThread(start, owner);
  owner.on("message", (message: ToThread) => thread.onMessage(message));
  if (start.unref) owner.unref();
  const over = new Promise<void>((resolve) => owner.once("close", () => resolve()));
  await thread.run();
  await over;
}

class EngineThread {
  readonly #start: EngineStart;
  readonly #owner: MessagePort;
  readonly #arena = new Arena();
  readonly #storage: StorageLink;
  readonly #fronts: BackendServer[] = [];
  readonly #backendPorts: MessagePort[];
  readonly #machines: PortsToMachines;
  #clientServer: ClientServer | undefined;
  #network: PeerNetwork | undefined;
  #engine: Engine | undefined;
  #indexJobs: IndexJobs | undefined;
  #closing = false;

  constructor(start: EngineStart, owner: MessagePort) {
    this.#start = start;
    this.#owner = owner;
    this.#storage = new StorageLink(start.storagePort, this.#arena);
    this.#backendPorts = [...start.backendPorts];
    this.#machines = new PortsToMachines(start.objectPorts, (thread) => this.#post({ kind: "objectsNeeded", thread }));
  }

  onMessage(message: ToThread): void {
    switch (message.kind) {
      case "status":
        if (this.#engine === undefined) return;
        return this.#post({ kind: "status", requestId: message.requestId, status: this.#engine.status() });
      case "indexBuilt":
        return this.#indexJobs?.built(message.indexed);
      case "indexFailed":
        return this.#indexJobs?.failed(message.generation, message.reason);
      case "backendPort":
        this.#backendPorts.push(message.port);
        if (this.#closing) return message.port.close();
        return this.#serveBackend(message.port);
      case "close":
        return void this.#close();
      default:
        return assertNever(message);
    }
  }

  async run(): Promise<void> {
    try {
      await this.#open();
    } catch (cause) {
      this.#post({ kind: "stopped", error: packError(toPaxlogError(cause)) });
    }
  }

  /** Storage first, clients' address next (the core tells it to the others), then the core, and the network last. */
  async #open(): Promise<void> {
    const { config, storagePort, unref } = this.#start;
    const hashing = await loadHashing(config.hashing);
    const opened = await this.#storage.opened();
    if (this.#closing) return;
    checkVote(opened.recovered, config);
    for (const line of opened.report) this.#note(line);
    this.#note(hashingNote(hashing));
    const gate = new GateBackend();
    const clientAddress = await this.#listen(gate, hashing);
    if (this.#closing) return void this.#clientServer?.close();
    const engine = this.#makeEngine(opened, clientAddress, hashing);
    this.#engine = engine;
    this.#network = await this.#startNetwork(engine, hashing);
    if (this.#closing) return void this.#network.close();
    engine.start(this.#network);
    gate.open(engine);
    for (const port of this.#backendPorts) this.#serveBackend(port);
    if (unref) {
      engine.unref();
      storagePort.unref();
    }
    onFirstCommand(engine, builtinNames, () => this.#post({ kind: "objectsNeeded", thread: "objects" }));
    this.#post({ kind: "ready", clientAddress, peerAddress: ownPeerAddress(config) });
  }

  #serveBackend(port: MessagePort): void {
    if (this.#engine === undefined) return;
    this.#fronts.push(new BackendServer({ port, backend: this.#engine }));
    if (this.#start.unref) port.unref();
  }

  /** Where clients find this node; "" where nobody listens for them. */
  async #listen(backend: LogBackend, hashing: Hashing): Promise<string> {
    const { config, clientAddress } = this.#start;
    if (clientAddress !== undefined) return advertised(clientAddress, config);
    if (config.listen === undefined) return "";
    const { insecure } = config;
    const log = (text: string) => this.#note(text);
    const { objects } = this.#machines;
    const listen = clientListen(config);
    this.#clientServer = await startClientServer({ listen, insecure, backend, objects, hashing, log });
    return advertised(this.#clientServer.address, config);
  }

  #makeEngine(opened: OpenedMessage, clientAddress: string, hashing: Hashing): Engine {
    const { config, version } = this.#start;
    const sequencer = new LogSequencer(makeEntryParts(hashing), opened.recovered.sequencer);
    const replica = new Replica({
      recovered: opened.recovered,
      members: config.members,
      nonvoter: config.nonvoter,
      clientAddress,
      freshClusterId: randomBytes(16).toString("hex") as Uid,
      firstHash: (clusterId) => firstHash(clusterId, hashing),
      makeEntry: makeEntryMaker(hashing, {
        memory: this.#arena,
        copyAndHash: loadBatchTools({ hashing, scanBatch }).copyAndHash,
      }),
      sequencer,
      tickMs: limits.roundMs / limits.ticksPerRound,
      ticksPerRound: limits.ticksPerRound,
    });
    const reader = new LogReader(new NodeDisk(), config.dir, hashing, opened.layout, opened.readerStart);
    this.#storage.onSpace = (space) => this.#note(spaceNote(config.dir, space));
    this.#storage.onCommitted = (commit) => reader.take(commit);
    if (config.indexing) this.#indexJobs = this.#makeIndexJobs(reader, replica);
    return new Engine({
      replica,
      history: new History(replica.log, reader, sequencer, this.#indexJobs),
      entryParts: makeEntryParts(hashing),
      storage: this.#storage,
      snapshots: new SnapshotExchange(new SnapshotFiles(new NodeDisk(), config.dir, hashing)),
      retention:
        config.retention === undefined ? undefined : { policy: config.retention, segmentBytes: config.segmentBytes },
      clock: systemClock,
      facts: {
        name: config.name,
        clientAddress,
        members: config.members,
        hashing: hashing.implementation,
        version,
      },
      machines: countsOf(this.#start.machines),
      onStop: (error) => {
        for (const front of this.#fronts) front.flush();
        if (!this.#closing) this.#post({ kind: "stopped", error: packError(error) });
      },
    });
  }

  #makeIndexJobs(reader: LogReader, replica: Replica): IndexJobs {
    return new IndexJobs({
      reader,
      decidedEnd: () => replica.visibleEnd,
      build: (job) => this.#post({ kind: "buildIndex", job }),
      onWritten: (generation) => this.#storage.indexWritten(generation),
      note: (text) => this.#note(text),
      onDamaged: (cause) => this.#engine?.stop(toPaxlogError(cause, "DAMAGED")),
    });
  }

  async #startNetwork(of: Engine, hashing: Hashing): Promise<PeerNetwork> {
    const { config } = this.#start;
    if (isAlone(config)) return noPeers;
    const { members, name, insecure, nonvoter } = config;
    const self = nonvoter ? noNode : ((members.findIndex((member) => member.name === name) + 1) as NodeId);
    const log = (text: string) => this.#note(text);
    const memory = this.#arena;
    return await GrpcPeerNetwork.start({ members, self, insecure, hashing, memory, handlers: of.peerHandlers, log });
  }

  /**
   * Callers get their answers first, then nothing comes in any more, then the log is closed cleanly. Without its ports and sockets
   * the thread runs out by itself. A node that stopped by itself was silent to its peers from that moment on.
   */
  async #close(): Promise<void> {
    this.#closing = true;
    this.#indexJobs?.stop();
    if (this.#engine?.stopped !== undefined) await this.#network?.close();
    await this.#clientServer?.close();
    this.#engine?.stop(new PaxlogError("CLOSED", `node ${this.#start.config.name} was closed`));
    for (const front of this.#fronts) front.close();
    this.#machines.end(new PaxlogError("CLOSED", `node ${this.#start.config.name} was closed`));
    await this.#network?.close();
    await this.#storage.close();
    this.#start.storagePort.close();
    for (const port of this.#backendPorts) port.close();
    this.#owner.close();
  }

  #note(text: string): void {
    this.#post({ kind: "note", text });
  }

  #post(message: FromThread): void {
    this.#owner.postMessage(message);
  }
}

/** A directory that promised something must go on voting, and one that never did cannot begin to: nobody counts it. */
function checkVote({ state }: Recovered, { dir, name, nonvoter }: CheckedConfig): void {
  if (state.genesis === undefined || (state.genesis.nodeId === noNode) === nonvoter) return;
  const [was, is] = nonvoter ? ["a node that votes", "as a nonvoter"] : ["a nonvoter", "as one that votes"];
  throw new PaxlogError(
    "DIRECTORY_UNUSABLE",
    `the directory ${dir} is that of ${was}, and ${name} is started ${is}. Start it as what it is, or on an empty directory.`,
    { facts: { directory: dir, name } },
  );
}

function hashingNote(hashing: Hashing): string {
  return hashing.implementation === "native"
    ? "checksums are computed by the native addon"
    : "checksums are computed by portable code, which is slower: the native addon was not built (that needs Rust) or not chosen";
}

function ownPeerAddress({ members, name }: CheckedConfig): string {
  return members.find((member) => member.name === name)?.peerAddress ?? "";
}

/** Where other machines find the clients' port: an address that means "every interface" names none, so the peers' host stands in. */
function advertised(bound: string, config: CheckedConfig): string {
  if (config.advertise !== undefined) return config.advertise;
  const address = parseAddress(bound);
  const peer = parseAddress(ownPeerAddress(config));
  if (typeof address === "string" || typeof peer === "string" || !isWildcard(address.host)) return bound;
  return showAddress({ host: peer.host, port: address.port });
}

function spaceNote(dir: string, space: SpaceState): string {
  if (space === "enough") return `there is room for ${dir} again: appends go on`;
  if (space === "full")
    return `no room is left for ${dir}: appends are refused (NO_SPACE) until there is; reads, votes and trims go on`;
  return `no room is left for ${dir}, and its reserve is in use: while the others can do without this node it takes no more of the log, and catches up when there is room`;
}
