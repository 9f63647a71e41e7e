import { defined } from "../base/assert.ts";
import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { cancelled, onAbort } from "../client/abort.ts";
import { ClientLog } from "../client/client-log.ts";
import type { ConnectOptions, Log } from "../client/log.ts";
import { Nodes } from "../client/nodes.ts";
import { ServiceLink } from "../client/service-link.ts";
import { type Settings, settingsOf } from "../client/settings.ts";
import { loadHashing } from "../native/hashing.ts";
import { BackendProxy } from "../runtime/backend-proxy.ts";
import { LocalChannel } from "../runtime/local-channel.ts";
import { scanFor } from "../transport/service-context.ts";
import { type CheckedConfig, type ClusterMember, defaultListen, type NodeConfig } from "./config.ts";
import { startThreads } from "./node.ts";
import { PortsToMachines } from "./object-ports.ts";
import type { NodeAddresses, NodeEnd, NodeThreads } from "./threads.ts";

/** How to open a log in this process. The options of `connect` say how patient its calls are. */
export interface OpenOptions extends ConnectOptions, Omit<NodeConfig, "name" | "cluster" | "listen" | "nonvoter"> {
  /** Its directory, against the working directory of this moment. Made and formatted if it is missing or empty. */
  readonly dir: string;
  /** This node's name, with `cluster`. */
  readonly node?: string | undefined;
  /** All nodes that vote, this one included: peer addresses HOST:PORT by name. Without it the log is this process's own. */
  readonly cluster?: Readonly<Record<string, string>> | undefined;
  /** This node is none of `cluster`: it follows them in a directory of its own, serves reads, and never votes. */
  readonly nonvoter?: boolean | undefined;
  /** Where clients and other nodes' programs find this node: HOST:PORT. By default no port is opened, and 127.0.0.1:7100 in a cluster. */
  readonly listen?: string | undefined;
  /** Remarks for the log's owner: what recovery found, which checksums run, links that came and went. */
  readonly onNote?: ((text: string) => void) | undefined;
}

/** A log that is kept in this process, alone or as a node of a cluster. */
export interface EmbeddedLog extends Log {
  /** Absolute. */
  readonly dir: string;
  /** Where clients find it; "" where no port is open. */
  readonly clientAddress: string;
  /**
   * Resolves when the log has ended: with the reason if its node stopped by itself, with undefined after close(). Never rejects.
   * A node that stopped by itself (a failed disk, damage) rejects every call with that reason and leaves the process alone.
   */
  readonly closed: Promise<NodeEnd | undefined>;
}

/**
 * Opens the log in a directory of this machine, with the node that keeps it, in this process. Resolves once the directory is
 * recovered and the node runs; in a cluster that says nothing about a leader.
 *
 * Alone, it opens no port, and while nothing is under way it does not keep the process alive. As a node of a cluster it does, until
 * it is closed: others count on it.
 *
 * @throws PaxlogError INVALID_ARGUMENT or INSECURE_ADDRESS for the options; DIRECTORY_IN_USE, DIRECTORY_UNUSABLE, DAMAGED,
 *   FORMAT_UNKNOWN or STORAGE_FAILED for the directory; ADDRESS_IN_USE or ADDRESS_UNUSABLE for the addresses; CANCELLED.
 */
export async function open(options: OpenOptions): Promise<EmbeddedLog> {
  const settings = settingsOf(options);
  const { signal, onNote = () => {} } = options;
  if (signal?.aborted) throw cancelled(signal, "none");
  const { threads, checked } = await startThreads(configOf(options), { onNote, embedded: true });
  const addresses = await readyUnless(signal, threads);
  const hashing = await loadHashing(checked.hashing);
  const link = new EngineLink({ threads, checked, addresses, hashing, onNote });
  return new NodeLog({ threads, checked, addresses, hashing, settings, link });
}

function configOf(options: OpenOptions): NodeConfig {
  const {
    dir,
    node,
    cluster,
    nonvoter,
    listen,
    advertise,
    insecure,
    segmentBytes,
    quotaBytes,
    retention,
    hashing,
    layout,
    indexing,
    machines,
    procedures,
    threads,
    workerUrl,
  } = options;
  const members = cluster === undefined ? undefined : membersOf(cluster);
  return {
    dir,
    listen: listen ?? (cluster === undefined ? false : defaultListen),
    ...(node === undefined ? {} : { name: node }),
    ...(members === undefined ? {} : { cluster: members }),
    ...(nonvoter === undefined ? {} : { nonvoter }),
    ...(advertise === undefined ? {} : { advertise }),
    ...(insecure === undefined ? {} : { insecure }),
    ...(segmentBytes === undefined ? {} : { segmentBytes }),
    ...(quotaBytes === undefined ? {} : { quotaBytes }),
    ...(retention === undefined ? {} : { retention }),
    ...(hashing === undefined ? {} : { hashing }),
    ...(layout === undefined ? {} : { layout }),
    ...(indexing === undefined ? {} : { indexing }),
    ...(machines === undefined ? {} : { machines }),
    ...(procedures === undefined ? {} : { procedures }),
    ...(threads === undefined ? {} : { threads }),
    ...(workerUrl === undefined ? {} : { workerUrl }),
  };
}

function membersOf(cluster: Readonly<Record<string, string>>): ClusterMember[] {
  return Object.entries(cluster).map(([name, peerAddress]) => ({ name, peerAddress }));
}

/** The node's addresses once it runs. Where the caller gives up before, it is closed again. */
async function readyUnless(signal: AbortSignal | undefined, threads: NodeThreads): Promise<NodeAddresses> {
  let forget: () => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    forget = onAbort(signal, () => reject(cancelled(signal, "none")));
  });
  try {
    return await Promise.race([threads.ready, aborted]);
  } catch (error) {
    await threads.close();
    throw error;
  } finally {
    forget();
  }
}

interface NodeParts {
  readonly threads: NodeThreads;
  readonly checked: CheckedConfig;
  readonly addresses: NodeAddresses;
  readonly hashing: Hashing;
}

/** The way from this thread to the engine: the node's services over a port, so that the client library can speak to them. */
class EngineLink extends ServiceLink {
  readonly #proxy: BackendProxy;
  readonly #closing: AbortController;
  readonly #machines: PortsToMachines;

  constructor({
    threads,
    checked,
    addresses,
    hashing,
    onNote,
  }: NodeParts & { readonly onNote: (text: string) => void }) {
    const port = defined(threads.handlePort, "the port to the engine");
    let onServing: () => void = () => {};
    const serving = new Promise<void>((resolve) => {
      onServing = resolve;
    });
    const backend = new BackendProxy({ port, name: checked.name, onServing });
    const closing = new AbortController();
    const machines = new PortsToMachines(threads.handleObjectPorts, (thread) => threads.needObjects(thread));
    super(
      new LocalChannel({
        // Where the cluster says that this node leads, the library finds it here and not through a socket.
        address: addresses.clientAddress === "" ? `node ${checked.name} of this process` : addresses.clientAddress,
        serving,
        backend,
        objects: machines.objects,
        hashing,
        scanBatch: scanFor(hashing),
        closing: closing.signal,
        log: onNote,
      }),
    );
    this.#proxy = backend;
    this.#closing = closing;
    this.#machines = machines;
  }

  /** Nothing reaches the engine any more, and this is why. */
  end(reason: PaxlogError): void {
    this.#proxy.end(reason);
    this.#machines.end(reason);
    this.#closing.abort(reason);
    this.close(reason);
  }
}

/** The client library over the engine of this process, and over gRPC to the leader where that is another node. */
class NodeLog extends ClientLog implements EmbeddedLog {
  readonly dir: string;
  readonly clientAddress: string;
  readonly closed: Promise<NodeEnd | undefined>;
  readonly #threads: NodeThreads;
  readonly #link: EngineLink;
  #closing: Promise<void> | undefined;

  constructor(parts: NodeParts & { readonly settings: Settings; readonly link: EngineLink }) {
    const { threads, checked, addresses, hashing, settings, link } = parts;
    super(new Nodes([], link), settings, hashing);
    this.dir = checked.dir;
    this.clientAddress = addresses.clientAddress;
    this.closed = threads.closed;
    this.#threads = threads;
    this.#link = link;
    threads.onFailing = (error) => this.#fail(error);
  }

  override close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#threads.hold();
    await super.close();
    this.#link.end(new PaxlogError("CLOSED", "the log was closed"));
    await this.#threads.close();
  }

  #fail(error: PaxlogError): void {
    this.#link.end(error);
    this.end(error);
  }
}
