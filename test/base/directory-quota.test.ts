// Goal: what a directory takes is counted by all who write there together, and never passes its quota.
import { expect, test } from "vitest";
import { DirectoryQuota } from "../../src/base/directory-quota.ts";

test("what one thread takes another one cannot take, before it was given back", () => {
  const quota = new DirectoryQuota(100);
  const other = new DirectoryQuota(quota.memory);
  quota.add(30);
  expect([other.take(70), quota.take(1), other.usedBytes]).toEqual([true, false, 100]);
  other.add(-1);
  expect([quota.take(2), quota.take(1), quota.usedBytes, other.quotaBytes]).toEqual([false, true, 100, 100]);
});

test("what is there already counts although it is too much, and nothing more is taken then", () => {
  const quota = new DirectoryQuota(100);
  quota.add(150);
  expect([quota.take(1), quota.usedBytes]).toEqual([false, 150]);
});

test("without a quota everything is taken, and counted", () => {
  const quota = new DirectoryQuota();
  expect([quota.take(2 ** 40), quota.usedBytes]).toEqual([true, 2 ** 40]);
});
