/**
 * gRPC's length-prefixed message, as it goes into an HTTP/2 stream:
 *
 *   offset  size  field
 *        0     1  compressed   0
 *        1     4  length       of the message, big-endian
 *        5        message
 *
 * grpc-js makes this frame itself, with an allocation and a copy for each message and each receiver. Messages that are large or
 * frequent are therefore encoded with room for the prefix in front of them, and grpc-js takes the frame that is there already: one
 * copy of an entry's bytes for all followers. `sendInFrames` and `answerInFrames` change two methods inside of grpc-js, exactly
 * 1.14.7, for such messages only; where they are not as expected nothing is changed, which costs a copy and nothing else.
 */

export const framePrefixBytes = 5;

/** Names the frame that a message is part of. */
const frameKey = Symbol("paxlog.frame");

interface Framed {
  [frameKey]?: Buffer;
}

/** A message made of these pieces, one after another, that lies in its frame. */
export function framedMessage(pieces: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const memory = Buffer.allocUnsafe(framePrefixBytes + length + alignment);
  const begin = paddingFor(pieces, memory.byteOffset);
  const frame = memory.subarray(begin, begin + framePrefixBytes + length);
  frame[0] = 0;
  frame.writeUInt32BE(length, 1);
  let offset = framePrefixBytes;
  for (const piece of pieces) {
    frame.set(piece, offset);
    offset += piece.length;
  }
  const message = frame.subarray(framePrefixBytes);
  (message as Framed)[frameKey] = frame;
  return message;
}

/** Bytes from shared memory are copied by words only where they are aligned alike at both ends, eight times as fast. */
const alignment = 8;

/** Where in its memory the frame begins, so that the first shared piece (mostly all of them) is aligned like its source. */
function paddingFor(pieces: readonly Uint8Array[], memoryBegin: number): number {
  let offset = memoryBegin + framePrefixBytes;
  for (const piece of pieces) {
    if (piece.buffer instanceof SharedArrayBuffer) return (piece.byteOffset - offset) & (alignment - 1);
    offset += piece.length;
  }
  return 0;
}

/** The frame around a message that `framedMessage` made; undefined for other messages. */
export const frameOf = (message: object): Buffer | undefined => (message as Framed)[frameKey];

/** Methods that were changed, by any copy of this module. */
const changedKey = Symbol.for("paxlog.frames");

interface OutgoingHandler {
  writeMessage(message: Buffer, compress: boolean): Promise<Buffer>;
}

/** For calls that go out: given the class of grpc-js that frames and compresses. Any number of times. */
export function sendInFrames(filter: new (options: object, shared: object) => object): void {
  const { sendCompression } = new filter({}, {}) as { sendCompression?: OutgoingHandler };
  if (sendCompression === undefined) return;
  change(Object.getPrototypeOf(sendCompression) as OutgoingHandler, "writeMessage", (original) => {
    return async function (this: OutgoingHandler, message, compress) {
      return frameOf(message) ?? (await original.call(this, message, compress));
    };
  });
}

interface AnsweringCall {
  serializeMessage(message: object): Buffer;
}

/** For the answers to calls that come in: given the class of grpc-js that serializes them. Any number of times. */
export function answerInFrames(call: { readonly prototype: object }): void {
  change(call.prototype as AnsweringCall, "serializeMessage", (original) => {
    return function (this: AnsweringCall, message) {
      return frameOf(message) ?? original.call(this, message);
    };
  });
}

function change<Name extends string, Method extends object>(
  prototype: Record<Name, Method>,
  name: Name,
  around: (original: Method) => Method,
): void {
  const original: Method & { [changedKey]?: true } = prototype[name];
  if (typeof original !== "function" || original[changedKey]) return;
  const changed: Method & { [changedKey]?: true } = around(original);
  changed[changedKey] = true;
  prototype[name] = changed;
}
