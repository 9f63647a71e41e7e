import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { connect } from "../../src/client/connect.ts";
import type { Log } from "../../src/client/log.ts";
import { makeTempDir, Running, type TempDir } from "../cluster/harness.ts";

/** One node that is alone, served by the built command line to all tests of a file, and a log that is connected to it. */
export let node: Running;
export let address: string;
export let log: Log;
export let temp: TempDir;

beforeAll(async () => {
  temp = makeTempDir();
  node = new Running(["serve", "--dir", join(temp.path, "node"), "--listen", "127.0.0.1:0", "--json"]);
  address = (await node.line(0)).address as string;
  log = await connect(address);
});

afterAll(async () => {
  await log?.close();
  await node?.stop();
  temp?.remove();
});

export const tailOf = async () => (await log.tail()).tail;
