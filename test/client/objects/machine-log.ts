import { afterEach, beforeEach } from "vitest";
import { connectWith } from "../../../src/client/connect.ts";
import type { Log } from "../../../src/client/log.ts";
import { hashing } from "../../storage/hashing.ts";
import { MachineNode } from "./machine-node.ts";

/** The real services over a log in memory and the real machines, anew for each test, and a log that is connected to them. */
export let node: MachineNode;
export let log: Log;

beforeEach(async () => {
  node = await new MachineNode().start();
  log = await connectWith(hashing, [node.address], { deadlineMs: 10_000, closeMs: 200 });
});

afterEach(async () => {
  await log.close();
  await node.stop();
});
