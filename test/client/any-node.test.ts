// Goal: a question finds the node that answers it, and what no other node would say otherwise is told at once.
import { expect, test } from "vitest";
import { type ErrorCode, PaxlogError } from "../../src/base/errors.ts";
import { AnyNode } from "../../src/client/any-node.ts";
import type { NodeLink } from "../../src/client/node-link.ts";
import type { Nodes } from "../../src/client/nodes.ts";
import { settingsOf } from "../../src/client/settings.ts";

/** Asks nodes that say these codes, or answer "ok"; the addresses in the order in which they were asked. */
async function asked(codes: readonly (ErrorCode | "ok")[]): Promise<{ result: unknown; order: string[] }> {
  const addresses = codes.map((_, index) => `n${index}`);
  const order: string[] = [];
  const nodes = {
    addresses,
    after: (address: string) => addresses[(addresses.indexOf(address) + 1) % addresses.length],
    connected: async () => true,
    link: (address: string) => ({ address }),
  } as unknown as Nodes;
  const any = new AnyNode(nodes, settingsOf({ deadlineMs: 300 }), new AbortController().signal);
  const result = await any
    .ask(async (link) => {
      const { address } = link as unknown as NodeLink & { address: string };
      order.push(address);
      const code = codes[addresses.indexOf(address)]!;
      if (code !== "ok") throw new PaxlogError(code, "as it was told to say");
      return code;
    }, undefined)
    .catch((error: PaxlogError) => error.code);
  return { result, order };
}

test.each(["UNAVAILABLE", "STORAGE_FAILED", "DAMAGED", "STATE_DIVERGED", "INVARIANT_BROKEN"] as const)(
  "a node that says %s is left for the next one",
  async (code) => {
    expect(await asked([code, "ok"])).toEqual({ result: "ok", order: ["n0", "n1"] });
  },
);

test("what is wrong with the question is told at once, and so is the end of the only node", async () => {
  expect(await asked(["POSITION_PAST_TAIL", "ok"])).toEqual({ result: "POSITION_PAST_TAIL", order: ["n0"] });
  expect(await asked(["STORAGE_FAILED"])).toEqual({ result: "STORAGE_FAILED", order: ["n0"] });
});

test("where no node is of use the last one's word is told, in time", async () => {
  const { result, order } = await asked(["STORAGE_FAILED", "STORAGE_FAILED"]);
  expect(result).toBe("STORAGE_FAILED");
  expect(order.length).toBeGreaterThan(2);
});
