import { afterEach, beforeEach } from "vitest";
import type { EmbeddedLog, open as Open, OpenOptions } from "../../src/node/open.ts";
import { makeTempDir, type TempDir } from "../cluster/harness.ts";

const built = "../../dist/node/open.js";
const { open: openBuilt } = (await import(built)) as { open: typeof Open };

export let temp: TempDir;
let logs: EmbeddedLog[];

beforeEach(() => {
  temp = makeTempDir();
  logs = [];
});

afterEach(async () => {
  await Promise.all(logs.map((log) => log.close()));
  temp.remove();
});

/** Opens a log with the built files; it is closed after the test. */
export async function open(options: OpenOptions): Promise<EmbeddedLog> {
  const log = await openBuilt(options);
  logs.push(log);
  return log;
}
