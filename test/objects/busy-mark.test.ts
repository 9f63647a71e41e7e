// Goal: other threads see how many machines of a thread take no commands, and which.
import { expect, test } from "vitest";
import { BusyMark } from "../../src/objects/busy-mark.ts";

test("machines are counted that take no commands, for now or for good, as another thread sees them", () => {
  const mark = new BusyMark();
  const seen = new BusyMark(mark.memory);
  expect(seen.counts).toEqual({ stopped: 0, unready: 0 });
  mark.admit(0, "later");
  mark.admit(2, "stopped");
  mark.admit(15, "stopped");
  expect(seen.counts).toEqual({ stopped: 2, unready: 3 });
  expect([0, 1, 2, 15].map((place) => seen.admission(place))).toEqual(["later", "now", "stopped", "stopped"]);
  mark.admit(0, "now");
  mark.begin(7);
  expect(seen.counts).toEqual({ stopped: 2, unready: 2 });
});
