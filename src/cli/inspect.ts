import { resolve } from "node:path";
import { Command } from "commander";
import { noNode } from "../base/types.ts";
import { showBallot } from "../core/ballot.ts";
import type { GroupHeader } from "../format/group.ts";
import type { Superblock } from "../format/superblock.ts";
import type { DirectoryView, SegmentView } from "../storage/inspect.ts";
import type { FoundGroup } from "../storage/verify-segment.ts";
import { wholeNumber } from "./arguments.ts";
import { exitCodes } from "./exit-codes.ts";
import { grouped, Output } from "./output.ts";
import { type Column, tableLines } from "./table.ts";
import { faultText, placeText } from "./verify.ts";

interface InspectFlags {
  readonly groups?: number;
  readonly json?: true;
}

export function inspectCommand(): Command {
  return new Command("inspect")
    .description(
      "show what a node's directory holds, offline: superblock, segments, indexes, where the log begins and ends",
    )
    .argument("<dir>", "the directory of a node")
    .option("--groups <segment>", "list the groups of this segment too", wholeNumber({ min: 1 }))
    .option("--json", "print one JSON object; with --groups one line for each group before it")
    .addHelpText(
      "after",
      `
Reads headers and changes nothing. While the node runs it shows the directory as it was at some moment; what the node writes then
may look damaged. What is wrong is printed to standard error; verify says whether the directory is sound.

Examples:
  $ paxlog inspect ./data
  $ paxlog inspect ./data --groups 3 --json`,
    )
    .action(async (dir: string, flags: InspectFlags) => {
      process.exitCode = await inspect(resolve(dir), flags, new Output(flags.json === true));
    });
}

async function inspect(dir: string, flags: InspectFlags, output: Output): Promise<number> {
  const { inspectDirectory, inspectGroups } = await import("../storage/inspect.ts");
  const { NodeDisk } = await import("../storage/node-disk.ts");
  const { loadHashing } = await import("../native/hashing.ts");
  const disk = new NodeDisk();
  if (!disk.exists(`${dir}/superblock`) && !disk.exists(`${dir}/log`)) {
    output.note(`paxlog: ${dir} is no directory of a node`);
    return exitCodes.directory;
  }
  const options = {
    disk,
    dir,
    hashing: await loadHashing("auto"),
    onFault: (fault: Parameters<typeof faultText>[0]) => output.note(faultText(fault, dir)),
  };
  const groups: FoundGroup[] = [];
  if (flags.groups !== undefined) {
    const tell = (group: FoundGroup) => {
      if (output.json) output.result(groupObject(group), "");
      else groups.push(group);
    };
    if (!inspectGroups(options, flags.groups, tell)) {
      output.note(`paxlog: ${dir} has no segment ${flags.groups} with groups`);
      return exitCodes.usage;
    }
  }
  const view = inspectDirectory(options);
  if (output.json) output.result(viewObject(view), "");
  else for (const line of viewLines(view, groups)) output.write(line);
  return exitCodes.ok;
}

function groupObject({ header, offset, entries }: FoundGroup): Record<string, unknown> {
  const { prevHash, ballot, entriesChecksum: _, ...rest } = header;
  return { offset, ...rest, prevHash, ballot: showBallot(ballot), sound: entries !== undefined };
}

function viewObject({ superblock, ...view }: DirectoryView): Record<string, unknown> {
  if (superblock === undefined) return { ...view };
  const { identity, state, logBegin: _begin, ...rest } = superblock;
  const { genesis, started, promised, acceptedBallot } = state;
  return {
    ...view,
    ...identity,
    ...rest,
    clusterId: genesis?.clusterId ?? "",
    members: genesis?.members ?? [],
    voter: genesis === undefined ? undefined : genesis.nodeId !== noNode,
    started,
    promised: showBallot(promised),
    acceptedBallot: showBallot(acceptedBallot),
    beginBallot: showBallot(superblock.beginBallot),
  };
}

function viewLines(view: DirectoryView, groups: readonly FoundGroup[]): string[] {
  const { superblock, segments, trash } = view;
  const lines = superblock === undefined ? ["no superblock can be read"] : superblockLines(superblock, view);
  lines.push(`begin     ${placeText(view.begin)}`, `end       ${placeText(view.end)}`);
  lines.push(`trash     ${trash.files} files, ${grouped(trash.bytes)} bytes`);
  if (segments.length > 0) lines.push("", ...tableLines(segmentColumns, segments.map(segmentRow)));
  if (groups.length > 0) lines.push("", ...tableLines(groupColumns, groups.map(groupRow)));
  return lines;
}

function superblockLines({ identity, state, ...rest }: Superblock, view: DirectoryView): string[] {
  const { genesis, started, promised, acceptedBallot } = state;
  const members = genesis?.members.map(({ name }) => name).join(", ") ?? "";
  const part = genesis === undefined ? "" : genesis.nodeId === noNode ? "nonvoter of" : `node ${genesis.nodeId} of`;
  const closed = rest.clean ? "closed cleanly" : "not closed cleanly, or running";
  const { snapshot } = rest;
  return [
    `node      ${identity.name}, uid ${identity.nodeUid}, opened ${identity.incarnation} times, ${closed}`,
    genesis === undefined
      ? "cluster   none yet"
      : `cluster   ${genesis.clusterId}, ${part} ${members}, ${started ? "started" : "not started"}`,
    `ballots   promised ${showBallot(promised)}, accepted ${showBallot(acceptedBallot)}`,
    `writes    superblock ${view.superblockSequence}, durable group ${rest.durableSequence}, decided below slot ${rest.decidedEnd}`,
    `snapshot  ${snapshot === undefined ? "none" : `at slot ${grouped(snapshot.slot)}, root hash ${snapshot.rootHash}`}`,
  ];
}

const segmentColumns: readonly Column[] = [
  { heading: "SEGMENT", numeric: true },
  { heading: "STATE" },
  { heading: "FIRST SLOT", numeric: true },
  { heading: "FIRST POSITION", numeric: true },
  { heading: "BEGUN BEHIND" },
  { heading: "USED", numeric: true },
  { heading: "BYTES", numeric: true },
  { heading: "INDEX" },
];

const segmentRow = ({ generation, state, begin, usedBytes, bytes, index }: SegmentView): string[] => [
  String(generation),
  state,
  begin === undefined ? "-" : grouped(begin.slot),
  begin === undefined ? "-" : grouped(begin.position),
  begin === undefined || begin.time === 0 ? "-" : new Date(begin.time).toISOString(),
  grouped(usedBytes),
  grouped(bytes),
  index,
];

const groupColumns: readonly Column[] = [
  { heading: "OFFSET", numeric: true },
  { heading: "GROUP", numeric: true },
  { heading: "KIND" },
  { heading: "FIRST SLOT", numeric: true },
  { heading: "ENTRIES", numeric: true },
  { heading: "BYTES", numeric: true },
  { heading: "DURABLE", numeric: true },
  { heading: "DECIDED", numeric: true },
  { heading: "" },
];

const groupRow = ({ header, offset, entries }: FoundGroup): string[] => [
  String(offset),
  String(header.sequence),
  kindText(header),
  grouped(header.firstSlot),
  grouped(header.entryCount),
  grouped(header.entriesLength),
  String(header.durableSequence),
  grouped(header.decidedEnd),
  entries === undefined ? "damaged" : "",
];

const kindText = ({ kind, ballot }: GroupHeader): string =>
  kind === "replace" ? `replace ${showBallot(ballot)}` : kind;
