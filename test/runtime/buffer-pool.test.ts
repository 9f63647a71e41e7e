// Goal: buffers go round instead of being made, within a bound. Method: the identity of what is handed out.
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { BufferPool } from "../../src/runtime/buffer-pool.ts";

test("a returned buffer serves the next need of about its size, and only one", () => {
  const pool = new BufferPool();
  const first = pool.take(100_000);
  expect(first.byteLength).toBeGreaterThanOrEqual(100_000);
  pool.give(first);
  expect(pool.take(10)).not.toBe(first);
  expect(pool.take(90_000)).toBe(first);
  expect(pool.take(90_000)).not.toBe(first);
});

test("no more is kept than the bound says", () => {
  const pool = new BufferPool();
  const buffers = Array.from({ length: 40 }, () => pool.take(1024 * 1024));
  for (const buffer of buffers) pool.give(buffer);
  expect(pool.freeBytes).toBe(limits.freeBufferBytes);
});

test("a buffer of a size that the pool does not make is let go", () => {
  const pool = new BufferPool();
  pool.give(new ArrayBuffer(1000));
  expect(pool.freeBytes).toBe(0);
});
