// Goal: a message in its frame goes out as that frame, without a copy, and every other message as grpc-js frames it.
// Method: the two methods of the installed grpc-js, called as grpc-js calls them.
import { CompressionFilter } from "@grpc/grpc-js/build/src/compression-filter.js";
import { BaseServerInterceptingCall } from "@grpc/grpc-js/build/src/server-interceptors.js";
import { describe, expect, test } from "vitest";
import { answerInFrames, framedMessage, frameOf, framePrefixBytes, sendInFrames } from "../../src/format/grpc-frame.ts";
import { bytesFieldHead } from "../../src/format/wire-bytes.ts";

const pieces = [Buffer.from("one "), new Uint8Array(0), Buffer.from("message")];
const plain = Buffer.from("one message");
const expected = Buffer.concat([Buffer.from([0, 0, 0, 0, plain.length]), plain]);

test("a message lies behind the prefix of its frame", () => {
  const message = framedMessage(pieces);
  expect(message).toEqual(plain);
  const frame = frameOf(message)!;
  expect(frame).toEqual(expected);
  expect(message.byteOffset).toBe(frame.byteOffset + framePrefixBytes);
  expect(frameOf(plain)).toBeUndefined();
});

test("bytes from shared memory are aligned in the message as they were there", () => {
  const shared = new Uint8Array(new SharedArrayBuffer(64)).fill(7);
  for (let begin = 0; begin < 8; begin += 1) {
    const message = framedMessage([Buffer.from("abc"), shared.subarray(begin, begin + 40)]);
    expect((message.byteOffset + 3) % 8).toBe(begin);
    expect(message).toEqual(Buffer.concat([Buffer.from("abc"), new Uint8Array(40).fill(7)]));
    expect(frameOf(message)!.readUInt32BE(1)).toBe(43);
  }
});

describe("this grpc-js", () => {
  test("sends the frame of a call's message itself, and frames others", async () => {
    sendInFrames(CompressionFilter);
    sendInFrames(CompressionFilter);
    const filter = new CompressionFilter({}, {});
    const send = async (message: Buffer) => (await filter.sendMessage(Promise.resolve({ message }))).message;
    const message = framedMessage(pieces);
    expect(await send(message)).toBe(frameOf(message));
    expect(await send(plain)).toEqual(expected);
  });

  test("answers with the frame itself, and frames other answers", () => {
    answerInFrames(BaseServerInterceptingCall);
    const { serializeMessage } = BaseServerInterceptingCall.prototype as unknown as {
      serializeMessage(message: Buffer): Buffer;
    };
    const call = { handler: { serialize: (message: Buffer) => message } };
    const message = framedMessage(pieces);
    expect(serializeMessage.call(call, message)).toBe(frameOf(message));
    expect(serializeMessage.call(call, plain)).toEqual(expected);
  });
});

test.each([
  [1, 0, [0x0a, 0]],
  [2, 127, [0x12, 127]],
  [4, 300, [0x22, 0xac, 0x02]],
  [100, 0x0fff_ffff, [0xa2, 0x06, 0xff, 0xff, 0xff, 0x7f]],
])("field %i of %i bytes begins as protobuf has it", (field, length, bytes) => {
  expect([...bytesFieldHead(field, length)]).toEqual(bytes);
});
