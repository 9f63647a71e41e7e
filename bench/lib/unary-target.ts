import { Client, credentials } from "@grpc/grpc-js";
import { limits } from "#src/base/limits";
import type { AppendTarget } from "#src/cli/bench/append-load";
import type { AppendedMany } from "#src/client/log";
import { appendRequestCodec, appendResponseCodec, logServicePaths } from "#src/format/api-codec";
import { encodeBatch, type RecordInput } from "#src/format/batch-encode";

/**
 * Appends by one unary call each, on one connection, as a generated gRPC client would. Requests are encoded once and used again:
 * what is measured is the call and the server, and the same bytes go to the empty handler beside it.
 */
export class UnaryTarget implements AppendTarget {
  readonly #client: Client;
  readonly #requests = new Map<readonly RecordInput[], Buffer>();
  readonly #readsAnswers: boolean;

  /** `readsAnswers` is false for a handler that answers with an empty message. */
  constructor(address: string, readsAnswers: boolean) {
    this.#client = new Client(address, credentials.createInsecure(), {
      "grpc.max_send_message_length": limits.messageBytesMax,
      "grpc-node.flow_control_window": limits.http2WindowBytes,
      "grpc.enable_retries": 0,
      "grpc.service_config_disable_resolution": 1,
      "grpc.use_local_subchannel_pool": 1,
    });
    this.#readsAnswers = readsAnswers;
  }

  append(records: readonly RecordInput[]): Promise<AppendedMany> {
    const request = this.#requestOf(records);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(logServicePaths.append, identity, identity, request, (error, answer) => {
        if (error !== null) return reject(error);
        if (!this.#readsAnswers) return resolve(nowhere);
        const decoded = appendResponseCodec.decode(answer!);
        if (decoded.kind === "malformed") return reject(new Error(decoded.reason));
        const { firstPosition, recordCount, time } = decoded.value;
        resolve({ first: firstPosition, last: firstPosition + recordCount - 1, time });
      });
    });
  }

  close(): void {
    this.#client.close();
  }

  #requestOf(records: readonly RecordInput[]): Buffer {
    let request = this.#requests.get(records);
    if (request === undefined) {
      request = appendRequestCodec.encode({ logId: 1, batch: encodeBatch(records), crc32c: undefined });
      this.#requests.set(records, request);
    }
    return request;
  }
}

const identity = (bytes: Buffer): Buffer => bytes;
const nowhere: AppendedMany = { first: 0, last: 0, time: 0 };
