// Goal: logical time advances by one tick a period, late ticks say how late, missed ones are not made up for. Method: fake timers
// and a clock that jumps.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Ticker } from "../../src/runtime/clock.ts";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function tickerOf(periodMs: number) {
  let pausedMs = 0;
  const lags: number[] = [];
  const clock = { monotonicMs: () => Date.now() + pausedMs, wallMs: () => Date.now() };
  const ticker = new Ticker({ periodMs, clock, onTick: (lagMs) => lags.push(lagMs) });
  return {
    ticker,
    lags,
    /** The process stands still: the clock goes on, no timer fires. */
    pause: (milliseconds: number) => {
      pausedMs += milliseconds;
    },
  };
}

test("one tick a period, none late", () => {
  const { ticker, lags } = tickerOf(25);
  ticker.start();
  vi.advanceTimersByTime(250);
  ticker.stop();
  vi.advanceTimersByTime(250);
  expect(lags).toEqual(Array(10).fill(0));
});

test("after a pause one tick comes that says how late it is, and the next ones are on time", () => {
  const { ticker, lags, pause } = tickerOf(25);
  ticker.start();
  vi.advanceTimersByTime(50);
  pause(1000);
  vi.advanceTimersByTime(100);
  ticker.stop();
  expect(lags).toEqual([0, 0, 1000, 0, 0, 0]);
});

test("a tick that is a little late does not move the ones behind it", () => {
  const { ticker, lags, pause } = tickerOf(25);
  ticker.start();
  pause(10);
  vi.advanceTimersByTime(25);
  pause(-10);
  vi.advanceTimersByTime(50);
  ticker.stop();
  expect(lags).toEqual([10, 0, 0]);
});
