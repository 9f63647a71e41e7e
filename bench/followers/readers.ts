/** A process with any number of readers that follow, on bare gRPC calls: what is measured is the node and not a library. */
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import type { Histogram } from "hdr-histogram-js";
import { limits } from "#src/base/limits";
import { logServicePaths } from "#src/format/api-codec";
import { decodeBatch } from "#src/format/batch-decode";
import { type ReadBatch, readRequestCodec, readResponseCodec } from "#src/format/read-codec";
import { latencyOf, newHistogram, recordMs } from "../lib/latency.ts";
import { type Answer, nowUs, type Order, type ReaderGroup, recordHead, tagOf } from "./messages.ts";

const faults: string[] = [];
const fault = (text: string): void => {
  if (faults.length < 20) faults.push(text);
};

class Counts {
  records = 0;
  measuredFromUs = Number.POSITIVE_INFINITY;
  measuredUntilUs = Number.POSITIVE_INFINITY;
  readonly latencies: Histogram = newHistogram();

  take(dueUs: number): void {
    this.records += 1;
    if (dueUs >= this.measuredFromUs && dueUs < this.measuredUntilUs)
      recordMs(this.latencies, (nowUs() - dueUs) / 1000);
  }
}

const counts = { own: new Counts(), all: new Counts() };

/** One follower: checks that each record comes once and in order. */
class Reader {
  readonly #wants: ReaderGroup["wants"];
  readonly #tag: number;
  running = true;
  next = 0;

  constructor(wants: ReaderGroup["wants"], tag: number) {
    this.#wants = wants;
    this.#tag = tag;
  }

  get wants(): ReaderGroup["wants"] {
    return this.#wants;
  }

  take(batch: ReadBatch): void {
    if (this.#wants === "none") return fault("a record came that nobody asked for");
    const view = decodeBatch(batch.batch);
    const ordinals = batch.selected === true ? undefined : batch.ordinals;
    const count = ordinals?.length ?? view.recordCount;
    for (let index = 0; index < count; index += 1) this.#record(view.record(ordinals?.[index] ?? index).value);
  }

  #record(value: Uint8Array): void {
    const data = new DataView(value.buffer, value.byteOffset, value.byteLength);
    const own = this.#wants === "own";
    const number = data.getUint32(own ? recordHead.numberInTag : recordHead.number, true);
    if (own && data.getUint32(recordHead.tag, true) !== this.#tag) fault(`reader ${this.#tag} got another's record`);
    if (number !== this.next) fault(`${this.#wants} ${this.#tag}: record ${number} came, ${this.next} was due`);
    this.next = number + 1;
    counts[own ? "own" : "all"].take(data.getFloat64(recordHead.dueUs, true));
  }
}

const readers: Reader[] = [];
const bytes = (buffer: Buffer): Buffer => buffer;

/** Windows as paxlog's library has them; small ones for those that stall, or they would stall much later. */
function clientOf(address: string, stalled: boolean): Client {
  return new Client(address, credentials.createInsecure(), {
    "grpc.max_receive_message_length": limits.messageBytesMax,
    ...(!stalled && { "grpc-node.flow_control_window": limits.http2WindowBytes }),
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_http_proxy": 0,
    "grpc.service_config_disable_resolution": 1,
  });
}

/** Resolves when the node said that this reader has caught up. */
function attach(client: Client, reader: Reader, tag: string | undefined, stalled: boolean): Promise<void> {
  const query = tag === undefined ? undefined : { items: [{ types: [], tags: [tag] }] };
  const request = readRequestCodec.encode({
    logId: 1,
    from: 0,
    beforeTail: 0,
    limit: 0,
    query,
    follow: true,
    freshness: "local",
  });
  const call = client.makeServerStreamRequest(logServicePaths.read, bytes, bytes, request, new Metadata());
  return new Promise((resolve, reject) => {
    call.on("data", (message: Buffer) => {
      const decoded = readResponseCodec.decode(message);
      if (decoded.kind === "malformed") return fault(decoded.reason);
      for (const batch of decoded.value.batches) reader.take(batch);
      if (decoded.value.caughtUp) resolve();
      if (stalled) call.pause();
    });
    call.on("error", (error: Error) => {
      reader.running = false;
      fault(error.message);
      reject(error);
    });
    call.on("end", () => {
      reader.running = false;
    });
  });
}

async function attachAll(address: string, groups: readonly ReaderGroup[]): Promise<void> {
  for (const { count, wants, stalled, perConnection } of groups) {
    for (let first = 0; first < count; first += perConnection) {
      const client = clientOf(address, stalled);
      const waiting: Promise<void>[] = [];
      for (let index = first; index < Math.min(count, first + perConnection); index += 1) {
        const reader = new Reader(wants, index);
        if (!stalled) readers.push(reader);
        const tag = wants === "own" ? tagOf(index) : wants === "none" ? `nobody-${index}` : undefined;
        waiting.push(attach(client, reader, tag, stalled));
      }
      await Promise.all(waiting);
    }
  }
}

function report(): Answer {
  const of = ({ records, latencies }: Counts) => ({ records, deliveryMs: latencyOf(latencies) });
  return {
    kind: "report",
    running: readers.filter(({ running }) => running).length,
    own: of(counts.own),
    all: of(counts.all),
    nextOfTag: readers.filter(({ wants }) => wants === "own").map(({ next }) => next),
    nextOfAll: readers.filter(({ wants }) => wants === "all").map(({ next }) => next),
    faults,
  };
}

function measure(on: boolean): void {
  for (const each of [counts.own, counts.all]) {
    if (on) each.measuredFromUs = nowUs();
    else each.measuredUntilUs = nowUs();
  }
}

process.on("message", (order: Order) => {
  const answer = (message: Answer) => process.send?.(message);
  if (order.kind === "report") answer(report());
  else if (order.kind === "measure") {
    measure(order.on);
    answer({ kind: "measuring" });
  } else {
    attachAll(order.address, order.groups).then(
      () => answer({ kind: "attached" }),
      (error: Error) => {
        process.stderr.write(`${error.message}\n`);
        process.exit(1);
      },
    );
  }
});
process.on("disconnect", () => process.exit(0));
