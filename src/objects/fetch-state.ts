import { setTimeout as sleep } from "node:timers/promises";
import { PaxlogError, toPaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { CallEnd, Channel } from "../client/call.ts";
import {
  fetchSnapshotRequestCodec,
  fetchSnapshotResponseCodec,
  objectServicePaths,
  type SnapshotHeader,
} from "../format/object-codec.ts";
import type { LogBackend } from "../transport/backend.ts";
import type { HostedSource } from "./hosted-machine.ts";
import type { MachineSnapshots } from "./machine-snapshots.ts";

export interface FetchOptions {
  readonly machine: string;
  /** Every command below it has to be in the state: those from here on can be had from the log. */
  readonly atLeast: number;
  readonly backend: LogBackend;
  /** Where it is put. */
  readonly snapshots: MachineSnapshots;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

export interface FetchedState {
  readonly header: SnapshotHeader;
  readonly source: HostedSource;
}

/**
 * The state of a machine from another node, for a node whose own lacks commands that it cannot apply: they were trimmed, or were for the
 * code before its own. Asks all members, the leader first, until one has it, or all of them say that they have none. @throws the
 * signal's reason.
 */
export async function fetchState(options: FetchOptions): Promise<FetchedState | undefined> {
  const { machine, backend, signal, note } = options;
  for (let isFirst = true; ; isFirst = false) {
    signal.throwIfAborted();
    let unknown = 0;
    for (const address of await others(backend)) {
      const found = address === "" ? "unknown" : await fetchFrom(address, options, isFirst);
      if (typeof found === "object") return found;
      if (found === "unknown") unknown += 1;
    }
    if (unknown === 0) return undefined;
    if (isFirst)
      note(
        `the machine ${machine} waits for a state of another node at ${options.atLeast} or later: the own one lacks what came before`,
      );
    await sleep(limits.clientRetryMsMax, undefined, { ref: false });
  }
}

/** Addresses of the other members, the leader first; empty where one is not known. */
async function others(backend: LogBackend): Promise<string[]> {
  const { id, leaderAddress, nodes } = await backend.status();
  const addresses = nodes.filter((node) => node.voter && node.id !== id).map((node) => node.clientAddress);
  return addresses.toSorted((a, b) => Number(b === leaderAddress) - Number(a === leaderAddress));
}

/** "none": it has none, or none that is new enough. "unknown": it could not be asked, or what came was cut short or wrong. */
async function fetchFrom(
  address: string,
  options: FetchOptions,
  isFirst: boolean,
): Promise<FetchedState | "none" | "unknown"> {
  const { machine, atLeast, snapshots, signal, note } = options;
  // Most nodes never need it.
  const { GrpcChannel } = await import("../client/grpc-channel.ts");
  const channel = new GrpcChannel(address);
  try {
    if (!(await channel.connected(limits.clientConnectMs, signal))) return "unknown";
    const received = snapshots.receive();
    const header = await download(channel, machine, atLeast, (piece) => received.add(piece), signal);
    if (header.position < atLeast) return "none";
    const source = received.source(header);
    note(`the machine ${machine} takes the state at ${header.position} from ${address}`);
    return { header, source };
  } catch (cause) {
    const error = toPaxlogError(cause);
    // It is asked for again until there is room.
    if (error.code === "NO_SPACE" && isFirst) note(error.message);
    return error.code === "POSITION_BELOW_HEAD" ? "none" : "unknown";
  } finally {
    channel.close();
  }
}

function download(
  channel: Channel,
  machine: string,
  atLeast: number,
  onPiece: (piece: Uint8Array) => void,
  signal: AbortSignal,
): Promise<SnapshotHeader> {
  return new Promise((resolve, reject) => {
    let header: SnapshotHeader | undefined;
    const fail = (cause: unknown): void => {
      call.cancel();
      over();
      reject(cause);
    };
    const onMessage = (bytes: Buffer): void => {
      try {
        const decoded = fetchSnapshotResponseCodec.decode(bytes);
        if (decoded.kind === "malformed") throw new PaxlogError("UNAVAILABLE", decoded.reason);
        header ??= decoded.value.header;
        onPiece(decoded.value.piece);
        call.read();
      } catch (cause) {
        fail(cause);
      }
    };
    const onEnd = ({ error }: CallEnd): void => {
      over();
      if (error === undefined && header !== undefined) resolve(header);
      else reject(error ?? new PaxlogError("UNAVAILABLE", "the answer has no header"));
    };
    const onAbort = (): void => fail(signal.reason);
    const over = (): void => signal.removeEventListener("abort", onAbort);
    const call = channel.call(objectServicePaths.fetchSnapshot, { onMessage, onEnd });
    signal.addEventListener("abort", onAbort, { once: true });
    call.send(fetchSnapshotRequestCodec.encode({ machine, position: 0, offset: 0, atLeast }));
    call.sendEnd();
    call.read();
  });
}
