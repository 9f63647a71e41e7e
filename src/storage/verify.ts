import type { Hashing } from "../base/hashing.ts";
import { firstSlot, type Hash, maxSlot, type Uid } from "../base/types.ts";
import { compareBallots, noBallot, showBallot } from "../core/ballot.ts";
import type { Genesis, LogBase } from "../core/durable.ts";
import type { SegmentHeader } from "../format/segment.ts";
import type { Superblock } from "../format/superblock.ts";
import { emptySnapshot, LogState } from "../sequencer/log-state.ts";
import type { DamageReason } from "./damage.ts";
import type { Disk } from "./disk.ts";
import type { Fault, FaultVerdict, OnFault } from "./fault.ts";
import { indexPath, logDirectory, manifestPath } from "./paths.ts";
import { type Landmark, LogChain } from "./verify-chain.ts";
import { verifyIndex } from "./verify-index.ts";
import { SegmentScan } from "./verify-segment.ts";
import { type FoundSegment, findSegments } from "./verify-segments.ts";
import { differsFrom, type ProvedSnapshot, verifySnapshot } from "./verify-snapshot.ts";
import { verifySuperblock } from "./verify-superblock.ts";

export interface VerifyOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
  /** Told of each fault as it is found, in order of the files. */
  readonly onFault: OnFault;
}

/** What was proved, and how much was wrong. */
export interface Verification {
  readonly name: string | undefined;
  readonly clusterId: Uid | "";
  /** Where the log begins, is decided up to, and ends; undefined where a fault hides it. One hash at one slot: one log up to there. */
  readonly begin: LogBase | undefined;
  readonly decided: LogBase | undefined;
  readonly end: LogBase | undefined;
  /** The newest snapshot, every byte of it proved, and against the log where that is whole below it; undefined where there is none. */
  readonly snapshot: (LogBase & { readonly rootHash: Hash }) | undefined;
  readonly segments: number;
  /** Sound ones: a segment is indexed after it was closed. */
  readonly indexes: number;
  readonly groups: number;
  readonly entries: number;
  readonly records: number;
  /** Read from segments. */
  readonly bytes: number;
  readonly faults: Readonly<Record<FaultVerdict, number>>;
}

/**
 * Proves a data directory without changing it: every byte that was durable is read, every checksum and hash is computed, and the
 * chain is followed from the log's begin to its end. A fault is told and the work goes on behind it. The node that owns the directory must
 * not run: what it is writing would look damaged.
 */
export function verifyDirectory(options: VerifyOptions): Verification {
  return new Verifier(options).run();
}

class Verifier {
  readonly #options: VerifyOptions;
  readonly #faults: Record<FaultVerdict, number> = { damaged: 0, mended: 0, torn: 0 };
  #groups = 0;
  #indexes = 0;
  #bytes = 0;

  constructor(options: VerifyOptions) {
    this.#options = options;
  }

  run(): Verification {
    const { disk, dir, hashing } = this.#options;
    const superblock = verifySuperblock(disk, dir, hashing, this.#fault)?.superblock;
    const told = { ...this.#options, onFault: this.#fault };
    const snapshot = superblock === undefined ? undefined : verifySnapshot(told, superblock);
    const segments = findSegments({ ...this.#options, superblock, onFault: this.#fault });
    try {
      const first = segments.find(({ header }) => header !== undefined)?.header;
      const begin = superblock?.logBegin ?? first?.begin;
      const chain = begin === undefined ? undefined : this.#chain(begin, superblock, first, snapshot);
      if (chain !== undefined) this.#followChain(chain, segments, superblock);
      this.#verifyIndexes(segments);
      return {
        name: superblock?.identity.name,
        clusterId: superblock?.state.genesis?.clusterId ?? first?.clusterId ?? "",
        begin,
        snapshot: snapshot === undefined ? undefined : { ...snapshot.base, rootHash: snapshot.rootHash },
        decided: chain?.decided,
        end: chain?.end,
        segments: segments.filter(({ tag }) => tag !== undefined).length,
        indexes: this.#indexes,
        groups: this.#groups,
        entries: chain?.entryCount ?? 0,
        records: chain?.recordCount ?? 0,
        bytes: this.#bytes,
        faults: this.#faults,
      };
    } finally {
      for (const { file } of segments) file.close();
    }
  }

  readonly #fault = (fault: Fault): void => {
    this.#faults[fault.verdict] += 1;
    this.#options.onFault(fault);
  };

  #damaged(file: string, offset: number | undefined, reason: DamageReason, text: string): void {
    this.#fault({ file, offset, verdict: "damaged", reason, text });
  }

  #chain(
    begin: LogBase,
    superblock: Superblock | undefined,
    first: SegmentHeader | undefined,
    snapshot: ProvedSnapshot | undefined,
  ): LogChain {
    const isWhole = begin.slot === emptySnapshot.end;
    return new LogChain({
      hashing: this.#options.hashing,
      onFault: this.#fault,
      begin,
      before: {
        sequence: superblock?.beginSequence ?? (first?.firstSequence ?? 1) - 1,
        ballot: superblock?.beginBallot ?? first?.ballot ?? noBallot,
      },
      state: isWhole ? new LogState() : undefined,
      landmark: snapshot === undefined ? undefined : this.#landmark(snapshot, superblock?.state.genesis),
    });
  }

  /** Where the log below it is whole, the snapshot must be what it amounts to; where it is not, the snapshot stands for it. */
  #landmark(snapshot: ProvedSnapshot, genesis: Genesis | undefined): Landmark {
    return {
      slot: snapshot.slot,
      reached: (at, state) => {
        const difference = differsFrom(snapshot, at, state, genesis);
        const file = manifestPath(this.#options.dir, snapshot.slot);
        if (difference !== undefined) this.#damaged(file, 0, "SNAPSHOT_DAMAGED", difference);
        return state ?? new LogState(snapshot.state);
      },
    };
  }

  #followChain(chain: LogChain, segments: readonly FoundSegment[], superblock: Superblock | undefined): void {
    const used = segments.filter(({ tag }) => tag !== undefined);
    used.forEach((segment, index) => {
      const { file, header, tag } = segment;
      const isLast = index + 1 === used.length;
      const next = used[index + 1]?.generation === segment.generation + 1 ? used[index + 1] : undefined;
      if (header === undefined) chain.gap();
      else chain.segment(header, { file: file.path, offset: 0 });
      if (tag === undefined) return;
      const scan = new SegmentScan({
        ...{ hashing: this.#options.hashing, file, tag, chain, onFault: this.#fault },
        // Where the next segment's header is lost, nothing says where this one ends.
        sealedEnd: next?.header?.previousEnd,
        madeBytes: isLast ? (header?.size ?? 0) : 0,
        durableSequence: isLast ? (superblock?.durableSequence ?? 0) : 0,
        clean: !isLast || superblock?.clean === true,
      });
      this.#bytes += scan.run();
      this.#groups += scan.groupCount;
      if (!isLast && next === undefined) chain.gap();
    });
    const last = used[used.length - 1]?.file.path ?? logDirectory(this.#options.dir);
    if (superblock !== undefined) this.#compare(chain, superblock, last);
  }

  /** Each is built anew from its segment, and each goes on where the one before it ends. */
  #verifyIndexes(segments: readonly FoundSegment[]): void {
    let before: { readonly generation: number; readonly end: LogBase } | undefined;
    for (const { generation } of segments) {
      const header = verifyIndex({ ...this.#options, onFault: this.#fault }, generation);
      if (header === undefined) continue;
      this.#indexes += 1;
      if (before?.generation === generation - 1 && before.end.hash !== header.begin.hash) {
        const text = `the index begins at slot ${header.begin.slot}, the one before it ends at ${before.end.slot}`;
        const file = indexPath(this.#options.dir, generation);
        this.#fault({ file, offset: 0, verdict: "mended", reason: "INDEX_DAMAGED", text });
      }
      before = { generation, end: header.end };
    }
  }

  /** The log may be ahead of the superblock by a REPLACE that was promised; the superblock is never ahead of the log. */
  #compare(chain: LogChain, superblock: Superblock, last: string): void {
    const { promised, acceptedBallot } = superblock.state;
    // What a snapshot accounts for is decided, whatever hints say.
    const decidedEnd = maxSlot(superblock.decidedEnd, superblock.snapshot?.slot ?? firstSlot);
    chain.raiseDecided(decidedEnd, { file: last, offset: 0 });
    if (chain.end === undefined) return;
    if (superblock.durableSequence > chain.sequence) {
      const text = `groups up to ${superblock.durableSequence} were durable, the log ends with group ${chain.sequence}`;
      this.#damaged(last, undefined, "GROUP_LOST", text);
    }
    if (superblock.clean && superblock.durableSequence < chain.sequence) {
      const text = `the log goes on behind group ${superblock.durableSequence}, with which the node was closed`;
      this.#damaged(last, undefined, "NOT_MONOTONIC", text);
    }
    if (acceptedBallot.n > 0 && compareBallots(acceptedBallot, chain.ballot) > 0) {
      const text = `the log lacks the replace of ballot ${showBallot(acceptedBallot)}, which was durable`;
      this.#damaged(last, undefined, "REPLACE_LOST", text);
    }
    if (compareBallots(chain.ballot, promised) > 0) {
      const text = `the log has the ballot ${showBallot(chain.ballot)}, and ${showBallot(promised)} is the last that was promised`;
      this.#damaged(last, undefined, "BALLOT_AHEAD", text);
    }
  }
}
