import { afterEach, beforeEach } from "vitest";
import { connectWith } from "../../../src/client/connect.ts";
import type { Log } from "../../../src/client/log.ts";
import { hashing } from "../../storage/hashing.ts";
import { MachineNode } from "./machine-node.ts";

export let node: MachineNode;
export let log: Log;

/** Gives each test of the calling file the real services over a log in memory, the real machines, and a log connected to them. */
export function setUpMachineLog(): void {
  beforeEach(async () => {
    node = await new MachineNode().start();
    log = await connectWith(hashing, [node.address], { deadlineMs: 10_000, closeMs: 200 });
  });

  afterEach(async () => {
    await log.close();
    await node.stop();
  });
}
