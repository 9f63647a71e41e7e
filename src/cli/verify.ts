import { resolve } from "node:path";
import { Command } from "commander";
import type { LogBase } from "../core/durable.ts";
import type { Fault } from "../storage/fault.ts";
import type { Verification } from "../storage/verify.ts";
import { exitCodes } from "./exit-codes.ts";
import { grouped, Output } from "./output.ts";

interface VerifyFlags {
  readonly json?: true;
}

export function verifyCommand(): Command {
  return new Command("verify")
    .description("prove a node's directory, offline: every checksum, every hash, the chain from its begin to its end")
    .argument("<dir>", "the directory of a node that does not run")
    .option("--json", "print one JSON object per line")
    .addHelpText(
      "after",
      `
Reads everything and changes nothing. Prints each fault with file, offset and verdict, goes on behind it, and ends with what was
proved; with --json the last line is {"proved": true or false, ...}. Verdicts: "damaged" was durable and is not what it was;
"mended" is made good by the node itself when it starts; "torn" is the end of a write that was never acknowledged, as a crash leaves
it, and no fault. Exit code 0 if nothing is damaged or to be mended, 4 otherwise.

Two nodes of a cluster that print one hash for one slot have the same log up to there.

Examples:
  $ paxlog verify ./data
  $ paxlog verify ./data --json | tail -1 | jq .end.hash`,
    )
    .action(async (dir: string, flags: VerifyFlags) => {
      process.exitCode = await verify(resolve(dir), new Output(flags.json === true));
    });
}

async function verify(dir: string, output: Output): Promise<number> {
  const { verifyDirectory } = await import("../storage/verify.ts");
  const { NodeDisk } = await import("../storage/node-disk.ts");
  const { loadHashing } = await import("../native/hashing.ts");
  const { checkUnused } = await import("../storage/lock.ts");
  await checkUnused(dir);
  const result = verifyDirectory({
    disk: new NodeDisk(),
    dir,
    hashing: await loadHashing("auto"),
    onFault: (fault) => output.result({ ...fault }, faultText(fault, dir)),
  });
  // A node that was started meanwhile wrote what was being read.
  await checkUnused(dir);
  const { damaged, mended } = result.faults;
  const proved = damaged === 0 && mended === 0;
  if (output.json) output.result({ proved, ...result }, "");
  else for (const line of summaryOf(result, dir, proved)) output.write(line);
  return proved ? exitCodes.ok : exitCodes.directory;
}

/** "log/00000003.log @ 8192: damaged (GROUP_ROTTEN): ..." */
export function faultText({ file, offset, verdict, reason, text, slots }: Fault, dir: string): string {
  const place = file.startsWith(`${dir}/`) ? file.slice(dir.length + 1) : file;
  const lost = slots === undefined ? "" : `; lost: ${slotRange(slots.from, slots.end)}`;
  return `${place}${offset === undefined ? "" : ` @ ${offset}`}: ${verdict} (${reason}): ${text}${lost}`;
}

const slotRange = (from: number, end: number): string =>
  end - from === 1 ? `slot ${from}` : `slots ${from} to ${end - 1}`;

function summaryOf(result: Verification, dir: string, proved: boolean): string[] {
  const { name, segments, indexes, groups, entries, records, bytes, faults } = result;
  const counted = (count: number, what: string) => `${grouped(count)} ${what}${count === 1 ? "" : "s"}`;
  return [
    `${proved ? "sound" : "NOT SOUND"}: ${dir}${name === undefined ? "" : ` of node ${name}`}`,
    `  read     ${counted(segments, "segment")}, ${counted(groups, "group")}, ${grouped(bytes)} bytes, ${counted(indexes, "sound index file")}`,
    `  holds    ${counted(entries, "entry").replace("entrys", "entries")}, ${counted(records, "record")}`,
    `  begin    ${placeText(result.begin)}`,
    `  snapshot ${result.snapshot === undefined ? "none" : `${placeText(result.snapshot)}, root hash ${result.snapshot.rootHash}`}`,
    `  decided  ${placeText(result.decided)}`,
    `  end      ${placeText(result.end)}`,
    `  faults   ${faults.damaged} damaged, ${faults.mended} mended at the next start, ${faults.torn} torn`,
  ];
}

export const placeText = (place: LogBase | undefined): string =>
  place === undefined
    ? "not known: a fault hides it"
    : `slot ${grouped(place.slot)}, position ${grouped(place.position)}, hash ${place.hash || "-"}`;
