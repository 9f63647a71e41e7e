// Goal: whoever holds something by a session knows in time that it may not any more, whatever its clocks and its event loop do.
// Method: virtual clocks; a stopped process is one whose clocks move and whose timers do not run.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { momentNow, SessionLife } from "../../src/client/session-life.ts";

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => void vi.useRealTimers());

test("it ends a margin before the time to live, and says so to those who wait", async () => {
  const life = new SessionLife(7, 10_000, momentNow());
  vi.advanceTimersByTime(8_999);
  expect(life.held).toBe(true);
  vi.advanceTimersByTime(1);
  expect(life.signal.aborted).toBe(true);
  expect(await life.lost).toMatchObject({ code: "LEASE_LOST", facts: { session: 7 } });
  expect(life.held).toBe(false);
});

test("a confirmed sign of life counts from when it was sent", () => {
  const life = new SessionLife(7, 10_000, momentNow());
  vi.advanceTimersByTime(3_000);
  const sent = momentNow();
  vi.advanceTimersByTime(2_000);
  life.confirm(sent);
  vi.advanceTimersByTime(6_999);
  expect(life.held).toBe(true);
  vi.advanceTimersByTime(1);
  expect(life.held).toBe(false);
});

test("signs of life that are confirmed out of order do not shorten it", () => {
  const life = new SessionLife(7, 10_000, momentNow());
  vi.advanceTimersByTime(1_000);
  const early = momentNow();
  vi.advanceTimersByTime(1_000);
  life.confirm(momentNow());
  life.confirm(early);
  vi.advanceTimersByTime(8_999);
  expect(life.held).toBe(true);
});

test("a process that was stopped finds it over before any timer ran, and no late confirmation brings it back", () => {
  const life = new SessionLife(7, 10_000, momentNow());
  const sent = momentNow();
  // Only the wall clock moves, as while the machine slept; no timer runs.
  vi.setSystemTime(Date.now() + 9_000);
  expect(life.signal.aborted).toBe(false);
  life.confirm(sent);
  expect(life.held).toBe(false);
  life.confirm(momentNow());
  expect(life.held).toBe(false);
});

test("a wall clock that is set back does not make it longer", () => {
  const life = new SessionLife(7, 10_000, momentNow());
  vi.setSystemTime(Date.now() - 3_600_000);
  vi.advanceTimersByTime(9_000);
  expect(life.held).toBe(false);
});

test("the first reason stands", async () => {
  const life = new SessionLife(7, 10_000, momentNow());
  const reason = new PaxlogError("CLOSED", "its owner closed it");
  life.end(reason);
  life.end(new PaxlogError("LEASE_LOST", "later"));
  expect(await life.lost).toBe(reason);
  expect(life.signal.reason).toBe(reason);
  expect(vi.getTimerCount()).toBe(0);
});
