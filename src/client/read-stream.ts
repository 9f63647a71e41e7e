import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Codec } from "../format/api-codec.ts";
import { type Call, type CallEnd, type Channel, unreadable } from "./call.ts";
import type { PulledCall, PulledEvent } from "./node-link.ts";

/**
 * One call with one request and many answers, a Read or a Watch, to one node. It asks for a message only while fewer than
 * `limits.clientReadAheadMessages` wait.
 */
export class PulledStream<Response> implements PulledCall<Response> {
  readonly #address: string;
  readonly #call: Call;
  readonly #codec: Codec<Response>;
  readonly #ready: Buffer[] = [];
  #asked = false;
  #end: CallEnd | undefined;
  #wake: (() => void) | undefined;

  constructor(channel: Channel, path: string, request: Buffer, codec: Codec<Response>) {
    this.#address = channel.address;
    this.#codec = codec;
    this.#call = channel.call(path, {
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
    this.#call.send(request);
    this.#call.sendEnd();
    this.#ask();
  }

  /** A message that cannot be read is such an end too. */
  async next(): Promise<PulledEvent<Response>> {
    while (this.#ready.length === 0) {
      if (this.#end !== undefined) return { kind: "end", end: this.#end };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const bytes = this.#ready.shift()!;
    this.#ask();
    const verdict = this.#codec.decode(bytes);
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

/** The next event, or "quiet" where the node says nothing for too long: then the stream is over. */
export async function nextOrQuiet<Response>(stream: PulledCall<Response>): Promise<PulledEvent<Response> | "quiet"> {
  let quiet = false;
  const timer = setTimeout(() => {
    quiet = true;
    stream.cancel();
  }, limits.clientReadQuietMs);
  // What is under way keeps the process alive; what only watches it must not.
  timer.unref();
  const event = await stream.next();
  clearTimeout(timer);
  return quiet ? "quiet" : event;
}

export function quietError(address: string): PaxlogError {
  const message = `${address} sent nothing for ${limits.clientReadQuietMs} ms: it may be frozen or cut off`;
  return new PaxlogError("UNAVAILABLE", message, { facts: { address } });
}
