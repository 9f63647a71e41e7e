/** Goal: a guard that was mistyped is never taken for one that was left out. Method: options as users write and mistype them. */
import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { checkToken, guardsOf } from "../../src/client/append-options.ts";
import type { AppendOptions } from "../../src/client/log.ts";

describe("guards", () => {
  test("are none where none was asked for", () => {
    expect(guardsOf({})).toBeUndefined();
    expect(guardsOf({ signal: new AbortController().signal, expectedTail: undefined })).toBeUndefined();
    expect(guardsOf({ condition: [], streams: [] })).toBeUndefined();
  });

  test("are taken in every form that the types allow", () => {
    const guards = guardsOf({
      expectedTail: 7,
      fencingToken: 0,
      condition: [
        { query: { tags: ["a"] }, after: 0 },
        { query: [{ types: ["T"], tags: ["b", "c"] }, {}], after: 9 },
      ],
      stream: { tag: "x", expected: "noStream" },
      streams: [
        { tag: "y", expected: 4 },
        { tag: "z", expected: "any" },
      ],
    });
    expect(guards).toEqual({
      expectedTail: 7,
      fencingToken: 0,
      conditions: [
        { query: { items: [{ types: [], tags: ["a"] }] }, after: 0 },
        {
          query: {
            items: [
              { types: ["T"], tags: ["b", "c"] },
              { types: [], tags: [] },
            ],
          },
          after: 9,
        },
      ],
      streams: [
        { tag: "x", expected: "noStream" },
        { tag: "y", expected: 4 },
        { tag: "z", expected: "any" },
      ],
    });
  });

  const wrong: readonly [string, AppendOptions][] = [
    ["expectedTail", { expectedTail: 0 }],
    ["expectedTail", { expectedTail: 1.5 }],
    ["expectedTail", { expectedTail: "7" as unknown as number }],
    ["expectedTail", { expectedTail: null as unknown as number }],
    ["fencingToken", { fencingToken: -1 }],
    ["fencingToken", { fencingToken: 2 ** 53 }],
    ["condition.after", { condition: { query: { tags: ["a"] } } as never }],
    ["condition.query", { condition: { query: [], after: 0 } }],
    ["condition.query", { condition: { query: undefined as never, after: 0 } }],
    ["condition.query.tags", { condition: { query: { tags: "a" as never }, after: 0 } }],
    ["condition.query.tag", { condition: { query: { tag: "x" } as object, after: 0 } }],
    ["condition.query.types[0]", { condition: { query: { types: ["x".repeat(257)] }, after: 0 } }],
    ["condition[1]", { condition: [{ query: {}, after: 0 }, null as never] }],
    ["stream.tag", { stream: { tag: "\ud800", expected: 1 } }],
    ["stream.expected", { stream: { tag: "a", expected: 0 } }],
    ["stream.expected", { stream: { tag: "a", expected: "none" as never } }],
    ["stream.expected", { stream: { tag: "a" } as never }],
    ["streams must be an array", { streams: { tag: "a", expected: 1 } as never }],
    ["a stream is named twice", { stream: { tag: "a", expected: 1 }, streams: [{ tag: "a", expected: "any" }] }],
  ];
  test.each(wrong)("are INVALID_ARGUMENT by name: %s in %j", (name, options) => {
    expect(faultOf(() => guardsOf(options))).toMatchObject({
      code: "INVALID_ARGUMENT",
      outcome: "none",
      message: expect.stringContaining(name),
    });
  });

  test("tell of all faults at once", () => {
    const { message } = faultOf(() => guardsOf({ expectedTail: -1, fencingToken: Number.NaN }));
    expect(message).toMatch(/expectedTail.*; fencingToken/);
  });
});

test("the token of a fence is a whole number", () => {
  expect(checkToken(0)).toBe(0);
  expect(faultOf(() => checkToken(0.5)).code).toBe("INVALID_ARGUMENT");
});

function faultOf(call: () => unknown): PaxlogError {
  try {
    call();
  } catch (error) {
    if (error instanceof PaxlogError) return error;
    throw error;
  }
  throw new Error("did not fail");
}
