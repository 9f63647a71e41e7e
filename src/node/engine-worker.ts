/** The engine thread of a node: core, network between nodes, and the server for clients. The one place that wires them together. */
import { randomBytes } from "node:crypto";
import { parentPort, workerData } from "node:worker_threads";
import { isWildcard, parseAddress, showAddress } from "../base/address.ts";
import { defined } from "../base/assert.ts";
import { PaxlogError, toPaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { NodeId, Uid } from "../base/types.ts";
import { Replica } from "../core/replica.ts";
import { scanBatch } from "../format/batch.ts";
import { firstHash, makeEntryMaker } from "../format/entry.ts";
import { loadBatchTools } from "../native/batch-tools.ts";
import { loadHashing } from "../native/hashing.ts";
import { Arena } from "../runtime/arena.ts";
import { type OpenedMessage, packError } from "../runtime/channel.ts";
import { systemClock } from "../runtime/clock.ts";
import { Engine } from "../runtime/engine.ts";
import { GateBackend } from "../runtime/gate-backend.ts";
import { History } from "../runtime/history.ts";
import { noPeers } from "../runtime/no-peers.ts";
import { StorageLink } from "../runtime/storage-link.ts";
import { LogSequencer } from "../sequencer/sequencer.ts";
import { NodeDisk } from "../storage/node-disk.ts";
import { LogReader } from "../storage/reader.ts";
import { type ClientServer, startClientServer } from "../transport/client-server.ts";
import { GrpcPeerNetwork } from "../transport/grpc-peer-network.ts";
import type { PeerNetwork } from "../transport/peer-network.ts";
import type { FromEngine, ToEngine, WorkerStart } from "./messages.ts";

const { config, storagePort, version } = workerData as WorkerStart;
const owner = defined(parentPort, "the port to the main thread");
const post = (message: FromEngine) => owner.postMessage(message);
const note = (text: string) => post({ kind: "note", text });

const arena = new Arena();
const storage = new StorageLink(storagePort, arena);
let clientServer: ClientServer | undefined;
let network: PeerNetwork | undefined;
let engine: Engine | undefined;
let closing = false;

/** Storage first, clients' address next (the core tells it to the others), then the core, and the network last. */
async function start(): Promise<void> {
  const hashing = await loadHashing(config.hashing);
  const opened = await storage.opened();
  for (const line of opened.report) note(line);
  note(
    hashing.implementation === "native"
      ? "checksums are computed by the native addon"
      : "checksums are computed by portable code, which is slower: the native addon was not built (that needs Rust) or not chosen",
  );
  const gate = new GateBackend();
  const { listen, insecure } = config;
  clientServer = await startClientServer({ listen, insecure, backend: gate, hashing, log: note });
  const clientAddress = advertised(clientServer.address);
  engine = makeEngine(opened, clientAddress, hashing);
  network = await startNetwork(engine, hashing);
  engine.start(network);
  gate.open(engine);
  post({ kind: "ready", clientAddress, peerAddress: ownPeerAddress() });
}

function makeEngine(opened: OpenedMessage, clientAddress: string, hashing: Hashing): Engine {
  const replica = new Replica({
    recovered: opened.recovered,
    members: config.members,
    clientAddress,
    freshClusterId: randomBytes(16).toString("hex") as Uid,
    firstHash: (clusterId) => firstHash(clusterId, hashing),
    makeEntry: makeEntryMaker(hashing, {
      memory: arena,
      copyAndHash: loadBatchTools({ hashing, scanBatch }).copyAndHash,
    }),
    sequencer: new LogSequencer(),
    tickMs: limits.roundMs / limits.ticksPerRound,
    ticksPerRound: limits.ticksPerRound,
  });
  const reader = new LogReader(new NodeDisk(), config.dir, hashing, opened.layout);
  storage.onCommitted = ({ places, voidFrom }) => reader.add(places, voidFrom);
  return new Engine({
    replica,
    history: new History(replica.log, reader),
    storage,
    clock: systemClock,
    facts: {
      name: config.name,
      clientAddress,
      members: config.members,
      hashing: hashing.implementation,
      version,
    },
    onStop: (error) => {
      if (!closing) post({ kind: "stopped", error: packError(error) });
    },
  });
}

async function startNetwork(of: Engine, hashing: Hashing): Promise<PeerNetwork> {
  if (config.members.length === 1) return noPeers;
  const self = (config.members.findIndex((member) => member.name === config.name) + 1) as NodeId;
  const { members, insecure } = config;
  return await GrpcPeerNetwork.start({
    members,
    self,
    insecure,
    hashing,
    memory: arena,
    handlers: of.peerHandlers,
    log: note,
  });
}

function ownPeerAddress(): string {
  return config.members.find((member) => member.name === config.name)?.peerAddress ?? "";
}

/** Where other machines find the clients' port: an address that means "every interface" names none, so the peers' host stands in. */
function advertised(bound: string): string {
  const address = parseAddress(bound);
  const peer = parseAddress(ownPeerAddress());
  if (typeof address === "string" || typeof peer === "string" || !isWildcard(address.host)) return bound;
  return showAddress({ host: peer.host, port: address.port });
}

/**
 * Callers get their answers first, then nothing comes in any more, then the log is closed cleanly. Without its ports and sockets
 * the thread runs out by itself. A node that stopped by itself was silent to its peers from that moment on.
 */
async function close(): Promise<void> {
  closing = true;
  if (engine?.stopped !== undefined) await network?.close();
  await clientServer?.close();
  engine?.stop(new PaxlogError("CLOSED", `node ${config.name} was closed`));
  await network?.close();
  await storage.close();
  post({ kind: "closed" });
  storagePort.close();
  owner.close();
}

owner.on("message", (message: ToEngine) => {
  if (message.kind === "close") void close();
  else if (engine !== undefined) post({ kind: "status", requestId: message.requestId, status: engine.status() });
});

start().catch((cause: unknown) => {
  post({ kind: "stopped", error: packError(toPaxlogError(cause)) });
});
