import { once } from "node:events";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import type { Position } from "../../src/base/types.ts";
import type { Guards } from "../../src/core/guards.ts";
import {
  type AppendStreamRequest,
  appendStreamRequestCodec,
  appendStreamResponseCodec,
  type Codec,
  checkTailResponseCodec,
  clusterServicePaths,
  logServicePaths,
  type NodeStatus,
  type ReadBatch,
  type ReadRequest,
  readRequestCodec,
  readResponseCodec,
  statusResponseCodec,
} from "../../src/format/api-codec.ts";
import { scanBatch } from "../../src/format/batch.ts";
import { decodeBatch } from "../../src/format/batch-decode.ts";
import { encodeErrorDetails, errorDetailsTrailer, grpcStatusOf } from "../../src/format/error-details.ts";
import {
  closeSessionRequestCodec,
  closeSessionResponseCodec,
  fenceRequestCodec,
  fenceResponseCodec,
  keepSessionRequestCodec,
  keepSessionResponseCodec,
  openSessionRequestCodec,
  openSessionResponseCodec,
} from "../../src/format/session-codec.ts";
import { hashing } from "../storage/hashing.ts";
import { LogJudge } from "../transport/log-judge.ts";

/** The log that all nodes of a test share: what is in it was "decided". */
export class MemoryLog {
  readonly batches: ReadBatch[] = [];
  readonly judge = new LogJudge();
  tail = 1;
  readonly #listeners = new Set<() => void>();

  append(batch: Uint8Array, guards?: Guards): ReadBatch {
    const scan = scanBatch(batch);
    if (scan.kind !== "ok") throw new Error(scan.reason);
    const copy = Uint8Array.from(batch);
    const stored = {
      firstPosition: this.tail as Position,
      recordCount: scan.recordCount,
      time: 1000 + this.batches.length,
      session: guards?.session?.id ?? 0,
      batch: copy,
      crc32c: hashing.crc32c(copy),
    };
    this.batches.push(stored);
    this.tail += scan.recordCount;
    this.judge.ordered(copy, guards, stored);
    for (const listener of [...this.#listeners]) listener();
    return stored;
  }

  /** Values of all records as text, by position. */
  values(): string[] {
    return this.batches.flatMap((stored) =>
      [...decodeBatch(stored.batch)].map((record) => Buffer.from(record.value).toString()),
    );
  }

  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** What a node does with a batch that it was sent. */
export type Verdict =
  | { readonly kind: "acknowledge" }
  /** Judged and perhaps into the log, and no answer before `release`. */
  | { readonly kind: "hold" }
  /** Nothing happens, now or later. */
  | { readonly kind: "swallow" }
  /** Refused within the stream, which goes on. */
  | { readonly kind: "refuse"; readonly error: PaxlogError }
  /** The stream ends with the error; where `ordered`, the batch is in the log nevertheless. */
  | { readonly kind: "fail"; readonly error: PaxlogError; readonly ordered?: boolean }
  /** The stream ends with a plain gRPC status, as when a connection or a proxy dies. */
  | { readonly kind: "break"; readonly ordered: boolean };

type AppendCall = ServerDuplexStream<Buffer, Buffer>;
type ReadCall = ServerWritableStream<Buffer, Buffer>;

const identity = (bytes: Buffer): Buffer => bytes;
const definition = (path: string, requestStream: boolean, responseStream: boolean) => ({
  path,
  requestStream,
  responseStream,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});

/** A gRPC server with a script in place of a protocol. */
export class TestNode {
  readonly log: MemoryLog;
  readonly reads: ReadRequest[] = [];
  /** Record count of every batch that arrived, refused ones too, and bytes of it that are in flight. */
  readonly arrived: number[] = [];
  appendStreams = 0;
  inFlightMax = 0;
  inFlightBytesMax = 0;
  readMessages = 0;
  readsOpen = 0;
  /** Calls of OpenSession, KeepSession, CloseSession and Fence, and what is answered instead. */
  readonly leaderCalls: string[] = [];
  onLeaderCall: (call: string) => PaxlogError | "hang" | undefined = () => undefined;
  /** What it says of itself. */
  claims: Partial<NodeStatus> | "hang" = {};
  batchesPerMessage = 1;
  /** Given the number of the batch on this node, from 0. */
  script: (batch: number, request: AppendStreamRequest) => Verdict = () => ({ kind: "acknowledge" });
  onRead: (request: ReadRequest, read: number) => PaxlogError | undefined = () => undefined;
  /** After so many messages of a read nothing more comes, no heartbeat either. */
  readsFreezeAfter = Number.POSITIVE_INFINITY;
  /** After so many messages of a read its stream breaks. */
  readBreaksAfter = Number.POSITIVE_INFINITY;
  corruptChecksum = false;
  /** Faults of a node: a refusal without the fact "acknowledged", an answer for another number of records. */
  omitsAcknowledged = false;
  answersWrongCount = false;
  /** Answers count as given and do not arrive, as when gRPC drops them in favour of an error behind them. */
  losesAnswers = false;
  onCheckTail: () => PaxlogError | "hang" | undefined = () => undefined;
  #server: Server | undefined;
  #port = 0;
  #inFlightBytes = 0;
  readonly #held: (() => void)[] = [];

  constructor(log: MemoryLog = new MemoryLog()) {
    this.log = log;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** On the port it had before, if it was started before. */
  async start(): Promise<this> {
    const server = new Server({
      "grpc.max_receive_message_length": limits.messageBytesMax,
      "grpc.max_send_message_length": limits.messageBytesMax,
    });
    server.addService(
      {
        appendStream: definition(logServicePaths.appendStream, true, true),
        read: definition(logServicePaths.read, false, true),
        checkTail: definition(logServicePaths.checkTail, false, false),
        status: definition(clusterServicePaths.status, false, false),
        openSession: definition(logServicePaths.openSession, false, false),
        keepSession: definition(logServicePaths.keepSession, false, false),
        closeSession: definition(logServicePaths.closeSession, false, false),
        fence: definition(logServicePaths.fence, false, false),
      },
      {
        appendStream: (call: AppendCall) => this.#appendStream(call),
        read: (call: ReadCall) => void this.#read(call),
        checkTail: (_call: unknown, answer: sendUnaryData<Buffer>) => this.#checkTail(answer),
        status: (_call: unknown, answer: sendUnaryData<Buffer>) => {
          if (this.claims !== "hang") answer(null, statusResponseCodec.encode(this.status()));
        },
        ...this.#sessionService(),
      },
    );
    this.#port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.#port}`, ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
    this.#server = server;
    return this;
  }

  /** As kill -9 does: connections are gone in the middle of anything. */
  crash(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  /** Answers everything that is held. */
  release(): void {
    for (const answer of this.#held.splice(0)) answer();
  }

  status(): NodeStatus {
    const numbers = {
      head: 1,
      tail: this.log.tail,
      acceptedEnd: 1,
      flushedEnd: 1,
      decidedEnd: 1,
      visibleEnd: 1,
      syncs: 0,
    };
    const kept = { holds: [], logBegin: 1, snapshotSlot: 0, diskFull: false };
    const more = { ...kept, leaderChanges: 0, uptimeMs: 1, memoryBytes: 1, entriesAppended: 0, pid: process.pid };
    const words = { leader: "", leaderAddress: "", clusterId: "", ballot: "1.1.1", version: "0.1.0" };
    return {
      id: this.address,
      role: "leader",
      phase: "accept",
      hashing: "portable",
      nodes: [],
      ...words,
      ...numbers,
      ...more,
      ...(this.claims === "hang" ? {} : this.claims),
    };
  }

  #sessionService() {
    const { judge } = this.log;
    return {
      openSession: this.#leaderCall("open", openSessionRequestCodec, openSessionResponseCodec, ({ ttlMs }) =>
        judge.openSession(ttlMs),
      ),
      keepSession: this.#leaderCall("keep", keepSessionRequestCodec, keepSessionResponseCodec, ({ session }) =>
        judge.keepSession(session),
      ),
      closeSession: this.#leaderCall(
        "close",
        closeSessionRequestCodec,
        closeSessionResponseCodec,
        ({ session }) => judge.forget(session) ?? {},
      ),
      fence: this.#leaderCall("fence", fenceRequestCodec, fenceResponseCodec, ({ token }) => judge.raiseFence(token)),
    };
  }

  #leaderCall<Request, Response>(
    name: string,
    request: Codec<Request>,
    response: Codec<Response>,
    serve: (request: Request) => Response | PaxlogError,
  ) {
    return (call: { request: Buffer }, answer: sendUnaryData<Buffer>) => {
      this.leaderCalls.push(name);
      const instead = this.onLeaderCall(name);
      if (instead === "hang") return;
      if (instead !== undefined) return answer(errorStatus(instead, {}));
      const decoded = request.decode(call.request);
      if (decoded.kind !== "ok") throw new Error(decoded.reason);
      const result = serve(decoded.value);
      if (result instanceof PaxlogError) answer(errorStatus(result, {}));
      else answer(null, response.encode(result));
    };
  }

  #appendStream(call: AppendCall): void {
    this.appendStreams += 1;
    let acknowledged = 0;
    let inFlight = 0;
    let over = false;
    call.on("data", (bytes: Buffer) => {
      // Behind a failure nothing is taken any more, as the stream's contract has it.
      if (over) return;
      const request = appendStreamRequestCodec.decode(bytes);
      if (request.kind !== "ok") throw new Error(request.reason);
      const { batch, crc32c, guards, independent } = request.value;
      if (hashing.crc32c(batch) !== crc32c) throw new Error("the checksum does not match the batch");
      const scan = scanBatch(batch);
      if (scan.kind !== "ok") throw new Error(scan.reason);
      const verdict = this.script(this.arrived.length, request.value);
      this.arrived.push(scan.recordCount);
      inFlight += 1;
      this.#inFlightBytes += batch.length;
      this.inFlightMax = Math.max(this.inFlightMax, inFlight);
      this.inFlightBytesMax = Math.max(this.inFlightBytesMax, this.#inFlightBytes);
      const order = () => {
        const judged = this.log.judge.judge(guards);
        const stored = judged ?? this.log.append(batch, guards);
        return () => {
          inFlight -= 1;
          this.#inFlightBytes -= batch.length;
          acknowledged += 1;
          if (this.losesAnswers) return;
          if (stored instanceof PaxlogError) {
            if (independent !== true) throw new Error("a guarded append of the library is independent");
            return void call.write(appendStreamResponseCodec.encode({ acknowledged: [], refused: stored }));
          }
          const recordCount = stored.recordCount + (this.answersWrongCount ? 1 : 0);
          call.write(appendStreamResponseCodec.encode({ acknowledged: [{ ...stored, recordCount }] }));
        };
      };
      switch (verdict.kind) {
        case "acknowledge":
          return order()();
        case "hold":
          return void this.#held.push(order());
        case "swallow":
          return;
        case "refuse":
          acknowledged += 1;
          return void call.write(appendStreamResponseCodec.encode({ acknowledged: [], refused: verdict.error }));
        case "fail":
          over = true;
          if (verdict.ordered === true) order();
          return fail(call, verdict.error, this.omitsAcknowledged ? {} : { acknowledged });
        case "break":
          over = true;
          if (verdict.ordered) order();
          return void call.emit("error", { code: status.UNAVAILABLE, details: "the connection is gone" });
      }
    });
    call.on("end", () => call.end());
    call.on("error", () => {});
  }

  async #read(call: ReadCall): Promise<void> {
    const request = readRequestCodec.decode(call.request);
    if (request.kind !== "ok") throw new Error(request.reason);
    const { from, limit, follow } = request.value;
    const error = this.onRead(request.value, this.reads.length);
    this.reads.push(request.value);
    this.readsOpen += 1;
    call.on("close", () => {
      this.readsOpen -= 1;
    });
    call.on("error", () => {});
    if (error !== undefined) return fail(call, error, {});
    let next = Math.max(1, from);
    let sent = 0;
    let messages = 0;
    while (!call.cancelled && (limit === 0 || sent < limit)) {
      const batches = this.log.batches
        .filter((stored) => stored.firstPosition + stored.recordCount > next)
        .slice(0, this.batchesPerMessage);
      if (batches.length === 0 && !follow) break;
      if (batches.length === 0) {
        call.write(readResponseCodec.encode({ batches: [], tail: this.log.tail, caughtUp: true }));
        await this.#appended(call);
        continue;
      }
      if (messages === this.readsFreezeAfter) return;
      if (messages === this.readBreaksAfter) {
        // The next stream gets through: what matters is where it begins.
        this.readBreaksAfter = Number.POSITIVE_INFINITY;
        return void call.emit("error", { code: status.UNAVAILABLE, details: "the connection is gone" });
      }
      const last = batches.at(-1)!;
      for (const stored of batches) sent += stored.recordCount - Math.max(0, next - stored.firstPosition);
      next = last.firstPosition + last.recordCount;
      const bent = this.corruptChecksum ? batches.map((stored) => ({ ...stored, crc32c: stored.crc32c ^ 1 })) : batches;
      messages += 1;
      this.readMessages += 1;
      const room = call.write(
        readResponseCodec.encode({ batches: bent, tail: this.log.tail, caughtUp: next === this.log.tail }),
      );
      if (!room) await Promise.race([once(call, "drain"), once(call, "cancelled")]);
    }
    call.end();
  }

  #appended(call: ReadCall): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        forget();
        resolve();
      };
      const forget = this.log.onAppend(done);
      call.once("cancelled", done);
    });
  }

  #checkTail(answer: sendUnaryData<Buffer>): void {
    const what = this.onCheckTail();
    if (what === "hang") return;
    if (what === undefined) answer(null, checkTailResponseCodec.encode({ head: 1, tail: this.log.tail }));
    else answer(errorStatus(what, {}));
  }
}

function errorStatus(error: PaxlogError, facts: Record<string, number>) {
  const { code, message, outcome, retryable } = error;
  const complete = new PaxlogError(code, message, { outcome, retryable, facts: { ...error.facts, ...facts } });
  const metadata = new Metadata();
  metadata.set(errorDetailsTrailer, encodeErrorDetails(complete));
  return { name: code, code: grpcStatusOf(error), details: message, message, metadata };
}

function fail(call: AppendCall | ReadCall, error: PaxlogError, facts: Record<string, number>): void {
  call.emit("error", errorStatus(error, facts));
}

export function notLeader(leader?: string): PaxlogError {
  return new PaxlogError("NOT_LEADER", "this node does not lead", leader === undefined ? {} : { facts: { leader } });
}
