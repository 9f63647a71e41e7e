import { limits } from "../base/limits.ts";
import { logServicePaths, type ReadRequest, readRequestCodec, readResponseCodec } from "../format/api-codec.ts";
import { type Call, type CallEnd, type Channel, unreadable } from "./call.ts";
import type { ReadCall, ReadEvent } from "./node-link.ts";

/** One Read call to one node. It asks for a message only while fewer than `limits.clientReadAheadMessages` wait. */
export class ReadStream implements ReadCall {
  readonly #address: string;
  readonly #call: Call;
  readonly #ready: Buffer[] = [];
  #asked = false;
  #end: CallEnd | undefined;
  #wake: (() => void) | undefined;

  constructor(channel: Channel, request: ReadRequest) {
    this.#address = channel.address;
    this.#call = channel.call(logServicePaths.read, {
      onMessage: (bytes) => {
        this.#asked = false;
        this.#ready.push(bytes);
        this.#ask();
        this.#wake?.();
      },
      onEnd: (end) => {
        this.#end = end;
        this.#wake?.();
      },
    });
    this.#call.send(readRequestCodec.encode(request));
    this.#call.sendEnd();
    this.#ask();
  }

  /** A message that cannot be read is such an end too. */
  async next(): Promise<ReadEvent> {
    while (this.#ready.length === 0) {
      if (this.#end !== undefined) return { kind: "end", end: this.#end };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const bytes = this.#ready.shift()!;
    this.#ask();
    const verdict = readResponseCodec.decode(bytes);
    if (verdict.kind === "ok") return { kind: "response", response: verdict.value };
    return { kind: "end", end: { error: unreadable(this.#address, verdict.reason), typed: false } };
  }

  cancel(): void {
    this.#call.cancel();
    this.#ready.length = 0;
    this.#end ??= { error: undefined, typed: false };
    this.#wake?.();
  }

  #ask(): void {
    if (this.#asked || this.#end !== undefined || this.#ready.length >= limits.clientReadAheadMessages) return;
    this.#asked = true;
    this.#call.read();
  }
}
