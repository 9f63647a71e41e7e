// The commands that look at a directory without opening it.
import { describe, expect, test } from "vitest";
import { lockDirectory } from "../../src/storage/lock.ts";
import { runCli } from "../cluster/harness.ts";
import { commitAll, openStore, TestDirectory } from "../storage/directory.ts";
import { Scribe } from "../storage/scribe.ts";

function written(directory: TestDirectory): Scribe {
  const store = openStore(directory.data);
  const scribe = new Scribe();
  for (const write of [scribe.genesis(store.recovered.identity.nodeUid), scribe.promise(1), scribe.append(3)]) {
    store.submit(write);
    commitAll(store);
  }
  store.close();
  return scribe;
}

describe("paxlog verify", () => {
  test("says what it proved, and that all is sound", async () => {
    using directory = new TestDirectory();
    const scribe = written(directory);
    const text = await runCli(["verify", directory.data]);
    expect(text).toMatchObject({ code: 0, stderr: "" });
    expect(text.stdout).toContain(`sound: ${directory.data} of node n1`);
    expect(text.stdout).toContain(`slot 4, position ${scribe.positionAt(4)}, hash ${scribe.hashBefore(4)}`);
  });

  test("prints each fault with file, offset and verdict, and fails", async () => {
    using directory = new TestDirectory();
    written(directory);
    directory.change("log/00000001.log", (bytes) => {
      bytes[4096 + 192 + 150]! ^= 1;
      return undefined;
    });
    const text = await runCli(["verify", directory.data]);
    expect(text.code).toBe(4);
    expect(text.stdout).toContain("log/00000001.log @ 4288: damaged (GROUP_ROTTEN): the entry of slot 1");
    expect(text.stdout).toContain("NOT SOUND");
    const json = (await runCli(["verify", directory.data, "--json"])).json();
    expect(json[0]).toMatchObject({
      offset: 4288,
      verdict: "damaged",
      reason: "GROUP_ROTTEN",
      slots: { from: 1, end: 2 },
    });
    expect(json.at(-1)).toMatchObject({ proved: false, faults: { damaged: 1 } });
  });

  test("leaves alone what a node has open, and what is not there", async () => {
    using directory = new TestDirectory();
    written(directory);
    const lock = await lockDirectory(directory.data);
    const used = await runCli(["verify", directory.data, "--json"]);
    await lock.release();
    expect(used).toMatchObject({ code: 4 });
    expect(used.error()).toMatchObject({ error: "DIRECTORY_IN_USE" });
    expect((await runCli(["verify", directory.file("nothing")])).code).toBe(4);
  });
});

describe("paxlog inspect", () => {
  test("shows the superblock, the segments, where the log ends, and groups on request", async () => {
    using directory = new TestDirectory();
    const scribe = written(directory);
    const json = (await runCli(["inspect", directory.data, "--groups", "1", "--json"])).json();
    expect(json[0]).toMatchObject({
      offset: 4096,
      sequence: 1,
      kind: "append",
      firstSlot: 1,
      entryCount: 3,
      sound: true,
    });
    expect(json.at(-1)).toMatchObject({
      ...{ name: "n1", incarnation: 1, clean: true, voter: true, promised: "1.1.1" },
      end: { slot: 4, hash: scribe.hashBefore(4) },
      segments: [{ generation: 1, state: "open", index: "none" }],
    });
    const text = await runCli(["inspect", directory.data]);
    expect(text.stdout).toContain("node      n1");
    expect((await runCli(["inspect", directory.data, "--groups", "7"])).code).toBe(2);
    expect((await runCli(["inspect", directory.path])).code).toBe(4);
  });
});
