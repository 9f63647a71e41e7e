/**
 * One writer of the raw sync probe, as a process of its own: writes blocks at the next offset into space that was written
 * before, syncs each, and prints how long each took.
 *
 *   node sync-writer.js <file> <block bytes> <milliseconds> <file bytes>
 *
 * It says "ready" when its file is written, and begins at the first line on its standard input.
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { latencyOf, newHistogram, recordMs } from "./latency.ts";

const [path, blockText, durationText, sizeText] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: sync-writer <file> <block bytes> <milliseconds> <file bytes>");
const [blockBytes, durationMs, fileBytes] = [Number(blockText), Number(durationText), Number(sizeText)];

const file = openSync(path, "wx", 0o600);
const zeros = Buffer.alloc(1024 * 1024);
for (let offset = 0; offset < fileBytes; offset += zeros.length) writeSync(file, zeros, 0, zeros.length, offset);
fdatasyncSync(file);
process.stdout.write("ready\n");

process.stdin.once("data", () => {
  const block = Buffer.alloc(blockBytes, 0x5a);
  const histogram = newHistogram();
  const began = performance.now();
  let before = began;
  let count = 0;
  while (before - began < durationMs) {
    writeSync(file, block, 0, blockBytes, (count * blockBytes) % fileBytes);
    fdatasyncSync(file);
    count += 1;
    const now = performance.now();
    recordMs(histogram, now - before);
    before = now;
  }
  closeSync(file);
  const seconds = (before - began) / 1000;
  process.stdout.write(`${JSON.stringify({ count, seconds, latencyMs: latencyOf(histogram) })}\n`);
  process.stdin.destroy();
});
