import { availableParallelism } from "node:os";
import { isLoopback, isWildcard, parseAddress } from "../base/address.ts";
import { defined } from "../base/assert.ts";
import { type ErrorCode, PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { RetentionPolicy } from "../runtime/retention.ts";

/** How to start a node. */
export interface NodeConfig {
  /** Its directory: made and formatted if it is missing or empty. */
  readonly dir: string;
  /** Its name; "node" unless it is given. Needed with `cluster`. */
  readonly name?: string;
  /** All voters, this node included, with their peer addresses. Without it the node is alone and opens no peer port. */
  readonly cluster?: readonly ClusterMember[];
  /** This node is none of `cluster`: it dials them, follows the log, serves reads, and never votes. */
  readonly nonvoter?: boolean;
  /** Where clients find it: HOST:PORT; port 0 takes a free one. False opens no port for them. */
  readonly listen?: string | false;
  /** What others are told instead: HOST:PORT of a proxy or a mapped port in front of it. By default the address where it listens. */
  readonly advertise?: string;
  /** Allows addresses that are not on loopback although nothing is encrypted. */
  readonly insecure?: boolean;
  /** Size of a segment file. */
  readonly segmentBytes?: number;
  /** What the directory may take in all, in bytes: above it the node does as on a full disk. No limit but the disk's by default. */
  readonly quotaBytes?: number;
  /**
   * How much of the log is kept; everything unless it is given. The leader trims by its own policy, so give all nodes the same. Whole
   * segments go, so up to one more than asked for is kept.
   */
  readonly retention?: RetentionOptions;
  /** Which checksum code to use; "auto" takes the addon where it loads. */
  readonly hashing?: "auto" | "native" | "portable";
  /**
   * "compact": the server for clients shares a thread with the engine, which costs the least processor time. "spread": it has a
   * thread of its own. By default "spread" where at least four processors may be used.
   */
  readonly layout?: Layout;
  /**
   * False builds no indexes: queries and reads from a position look through whole segments, and opening reads them all. For measuring
   * what indexes cost.
   */
  readonly indexing?: boolean;
  /**
   * Files of machines of your own, each of which exports one or more (`defineMachine`). All nodes need the same. A file that does not load is
   * noted, and the node runs without it.
   */
  readonly machines?: readonly string[];
  /** A file that exports stored procedures (`defineProcedures`), and their `version`. All nodes need the same. */
  readonly procedures?: string;
  /** False runs everything on the thread that starts the node: for tests and for bundles without a file for workers. */
  readonly threads?: boolean;
  /** A copy of the module `paxlog/worker`, where a bundler put one. */
  readonly workerUrl?: string | URL;
}

/** What any part lets go of goes, but nothing that a hold keeps. */
export interface RetentionOptions {
  /** Records older than this, in milliseconds of log time. */
  readonly ageMs?: number;
  /** What the log takes on a node's disk. */
  readonly bytes?: number;
  readonly records?: number;
}

export type Layout = "compact" | "spread";

export interface ClusterMember {
  readonly name: string;
  readonly peerAddress: string;
}

/** A configuration without faults and without gaps. It crosses threads as it is. */
export interface CheckedConfig {
  readonly dir: string;
  readonly name: string;
  /** The voters in order of name, which is the order of nodeIds. */
  readonly members: readonly ClusterMember[];
  /** This node is none of them. */
  readonly nonvoter: boolean;
  /** undefined: no port for clients. */
  readonly listen: string | undefined;
  /** undefined: where it listens. */
  readonly advertise: string | undefined;
  readonly insecure: boolean;
  readonly segmentBytes: number;
  /** undefined: as much as there is. */
  readonly quotaBytes: number | undefined;
  readonly retention: RetentionPolicy | undefined;
  readonly hashing: "auto" | "native" | "portable";
  readonly layout: Layout;
  readonly indexing: boolean;
  /** Whole paths. */
  readonly machines: readonly string[];
  readonly procedures: string | undefined;
}

/** Nobody is to be dialed, and nobody has an address to dial: no network between nodes. */
export function isAlone({ members, nonvoter }: CheckedConfig): boolean {
  return !nonvoter && members.length === 1 && members[0]!.peerAddress === "";
}

/** With fewer processors than this a thread for the server for clients only adds hops. */
const spreadCores = 4;

/** Of a node that listens. */
export function clientListen(config: CheckedConfig): string {
  return defined(config.listen, "the address for clients");
}

export const defaultListen = "127.0.0.1:7100";
const loneName = "node";

interface Fault {
  readonly code: ErrorCode;
  readonly text: string;
}

/** Checks everything at once: the error names every fault, so that a user mends a command line in one go. */
export function checkConfig(
  config: NodeConfig,
  resolveDir: (dir: string) => string,
  cores: number = availableParallelism(),
): CheckedConfig {
  const faults: Fault[] = [];
  const name = config.name ?? loneName;
  const listen = config.listen === false ? undefined : (config.listen ?? defaultListen);
  const segmentBytes = config.segmentBytes ?? limits.segmentBytesDefault;

  if (config.dir === "") faults.push(invalid("the directory's name is empty"));
  checkName(name, faults);
  if (listen !== undefined) {
    checkAddress("the client address", listen, { zeroPort: true, insecure: config.insecure === true }, faults);
  }
  if (config.advertise !== undefined) checkAdvertised(config, config.advertise, faults);
  if (config.layout !== undefined && config.layout !== "compact" && config.layout !== "spread") {
    faults.push(invalid(`the layout must be compact or spread, is ${String(config.layout)}`));
  } else if (config.layout === "spread" && config.threads === false) {
    faults.push(invalid("the layout spread needs threads"));
  }
  if (
    !Number.isSafeInteger(segmentBytes) ||
    segmentBytes < limits.segmentBytesMin ||
    segmentBytes > limits.segmentBytesMax
  ) {
    faults.push(
      invalid(
        `the segment size must be from ${limits.segmentBytesMin} to ${limits.segmentBytesMax} bytes, is ${segmentBytes}`,
      ),
    );
  } else if (segmentBytes % limits.blockBytes !== 0) {
    faults.push(invalid(`the segment size must be a multiple of ${limits.blockBytes} bytes, is ${segmentBytes}`));
  }
  checkQuota(config.quotaBytes, segmentBytes, faults);
  checkRetention(config.retention, faults);
  if (config.cluster !== undefined) checkCluster(config, config.cluster, faults);
  else if (config.nonvoter === true)
    faults.push(invalid("a nonvoter needs the cluster's list: the nodes that it follows"));
  if (faults.length > 0) throw faultsError(faults);

  const members = [...(config.cluster ?? [{ name, peerAddress: "" }])].sort((a, b) => (a.name < b.name ? -1 : 1));
  const insecure = config.insecure === true;
  return {
    dir: resolveDir(config.dir),
    name,
    members,
    nonvoter: config.nonvoter === true,
    listen,
    advertise: config.advertise,
    insecure,
    segmentBytes,
    quotaBytes: config.quotaBytes,
    retention: retentionOf(config.retention),
    hashing: config.hashing ?? "auto",
    layout: layoutOf(config, cores),
    indexing: config.indexing ?? true,
    machines: (config.machines ?? []).map(resolveDir),
    procedures: config.procedures === undefined ? undefined : resolveDir(config.procedures),
  };
}

/** Nobody listens there on this node's behalf but who forwards to it: whether what they carry is safe is for them to say. */
function checkAdvertised(config: NodeConfig, advertise: string, faults: Fault[]): void {
  if (config.listen === false)
    faults.push(invalid("an address for clients is advertised, and nobody listens for them"));
  checkAddress("the advertised address", advertise, { zeroPort: false, insecure: true }, faults);
  const address = parseAddress(advertise);
  if (typeof address !== "string" && isWildcard(address.host)) {
    faults.push(invalid(`the advertised address ${advertise} names no machine that a client could dial`));
  }
}

function checkQuota(quotaBytes: number | undefined, segmentBytes: number, faults: Fault[]): void {
  const least = limits.quotaSegmentsMin * segmentBytes;
  if (quotaBytes === undefined || (Number.isSafeInteger(quotaBytes) && quotaBytes >= least)) return;
  faults.push(
    invalid(`the quota must be ${least} bytes or more, ${limits.quotaSegmentsMin} segments, is ${quotaBytes}`),
  );
}

function checkRetention(retention: RetentionOptions | undefined, faults: Fault[]): void {
  for (const [name, value] of Object.entries(retention ?? {})) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) continue;
    faults.push(invalid(`retention.${name} must be a whole number from 1 on, is ${String(value)}`));
  }
}

function retentionOf(retention: RetentionOptions | undefined): RetentionPolicy | undefined {
  const { ageMs, bytes, records } = retention ?? {};
  const isNone = ageMs === undefined && bytes === undefined && records === undefined;
  return isNone ? undefined : { ageMs, bytes, records };
}

function layoutOf(config: NodeConfig, cores: number): Layout {
  if (config.listen === false || config.threads === false) return "compact";
  return config.layout ?? (cores < spreadCores ? "compact" : "spread");
}

function checkCluster(config: NodeConfig, cluster: readonly ClusterMember[], faults: Fault[]): void {
  if (cluster.length === 0) faults.push(invalid("the cluster's list is empty"));
  if (cluster.length > limits.votersMax) {
    faults.push(invalid(`the cluster's list names ${cluster.length} nodes; at most ${limits.votersMax} can vote`));
  }
  if (config.name === undefined) {
    faults.push(invalid("a node of a cluster needs its own name"));
  } else if (config.nonvoter === true) {
    if (cluster.some((member) => member.name === config.name)) {
      faults.push(
        invalid(`the cluster's list names this node, ${config.name}: a nonvoter is none of the nodes that vote`),
      );
    }
  } else if (!cluster.some((member) => member.name === config.name)) {
    const names = cluster.map((member) => member.name).join(", ");
    faults.push(invalid(`the cluster's list (${names}) does not name this node, ${config.name}`));
  }
  for (const name of twice(cluster.map((member) => member.name))) {
    faults.push(invalid(`the cluster's list names ${name} twice`));
  }
  for (const address of twice(cluster.map((member) => member.peerAddress))) {
    faults.push(invalid(`two nodes of the cluster's list have the peer address ${address}`));
  }
  for (const member of cluster) {
    if (member.name !== config.name) checkName(member.name, faults);
    const rule = { zeroPort: false, insecure: config.insecure === true };
    checkAddress(`the peer address of ${member.name}`, member.peerAddress, rule, faults);
  }
  if (cluster.some((member) => member.peerAddress === config.listen)) {
    faults.push(invalid(`the client address ${config.listen} is also a peer address; they need ports of their own`));
  }
}

function checkName(name: string, faults: Fault[]): void {
  if (name.length > limits.nameBytesMax) {
    faults.push(invalid(`the name ${name.slice(0, 16)}... is longer than ${limits.nameBytesMax} bytes`));
  } else if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
    faults.push(
      invalid(
        `the name ${JSON.stringify(name)} must be of letters, digits, ".", "_" and "-", and begin with a letter or digit`,
      ),
    );
  }
}

function checkAddress(
  what: string,
  text: string,
  rule: { readonly zeroPort: boolean; readonly insecure: boolean },
  faults: Fault[],
): void {
  const address = parseAddress(text);
  if (typeof address === "string") {
    faults.push(invalid(`${what} ${JSON.stringify(text)} ${address}`));
    return;
  }
  if (address.port === 0 && !rule.zeroPort) faults.push(invalid(`${what} ${text} needs a port other than 0`));
  if (!rule.insecure && !isLoopback(address.host)) {
    faults.push({
      code: "INSECURE_ADDRESS",
      text: `${what} ${text} is not on loopback and nothing would be encrypted; allow that with --insecure (option insecure: true) on a network that you trust`,
    });
  }
}

function twice(values: readonly string[]): Set<string> {
  return new Set(values.filter((value, index) => values.indexOf(value) !== index));
}

const invalid = (text: string): Fault => ({ code: "INVALID_ARGUMENT", text });

function faultsError(faults: readonly Fault[]): PaxlogError {
  const code = faults.every((fault) => fault.code === faults[0]!.code) ? faults[0]!.code : "INVALID_ARGUMENT";
  return new PaxlogError(code, faults.map((fault) => fault.text).join("; "));
}
