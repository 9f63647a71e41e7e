import type { Hashing } from "../base/hashing.ts";
import { maxSlot, minSlot, type Position, type Slot } from "../base/types.ts";
import { type Ballot, compareBallots } from "../core/ballot.ts";
import type { LogBase } from "../core/durable.ts";
import { type Entry, nextPositionOf } from "../core/entry.ts";
import { Log } from "../core/log.ts";
import type { EntryParts } from "../core/sequencer.ts";
import { makeEntryParts } from "../format/entry-parts.ts";
import type { GroupHeader } from "../format/group.ts";
import type { SegmentHeader } from "../format/segment.ts";
import type { LogState } from "../sequencer/log-state.ts";
import type { DamageReason } from "./damage.ts";
import type { Fault, OnFault } from "./fault.ts";

export interface ChainOptions {
  readonly hashing: Hashing;
  readonly onFault: OnFault;
  readonly begin: LogBase;
  /** Number of the group before the first one, and the log's ballot there. */
  readonly before: { readonly sequence: number; readonly ballot: Ballot };
  /** What the entries below `begin` amount to; undefined where that is not known. */
  readonly state: LogState | undefined;
  /** A slot to be told of when everything below it was proved. */
  readonly landmark?: Landmark | undefined;
}

export interface Landmark {
  readonly slot: Slot;
  /** `state` is what the entries below amount to, where it is known. Returns the state to go on with. */
  reached(at: LogBase, state: LogState | undefined): LogState | undefined;
}

/** A place in a segment, for faults. */
export interface At {
  readonly file: string;
  readonly offset: number;
}

/**
 * The log as groups make it, one after another, each proved against what came before: numbers, hashes, positions, times, ballots,
 * and the rules of the sequencer. Unlike recovery it does not stop at a fault: it says what is missing and goes on from the next
 * group or segment header, which say themselves what they continue.
 */
export class LogChain {
  readonly #onFault: OnFault;
  #landmark: Landmark | undefined;
  readonly #parts: EntryParts;
  /** [decidedEnd, end); undefined behind a gap, until something says where it is. */
  #log: Log | undefined;
  #state: LogState | undefined;
  /** First slot that was neither held nor named in a fault. */
  #end: Slot;
  sequence: number;
  ballot: Ballot;
  decidedEnd: Slot;
  entryCount = 0;
  recordCount = 0;

  constructor({ hashing, onFault, begin, before, state, landmark }: ChainOptions) {
    this.#onFault = onFault;
    this.#landmark = landmark;
    this.#parts = makeEntryParts(hashing);
    this.#log = new Log(begin, [], 0);
    this.#state = state;
    this.#end = begin.slot;
    this.sequence = before.sequence;
    this.ballot = before.ballot;
    this.decidedEnd = begin.slot;
  }

  /** The log's end; undefined where it is not known. */
  get end(): LogBase | undefined {
    const slot = this.#log?.acceptedEnd;
    return slot === undefined ? undefined : this.#at(slot);
  }

  /** The log at decidedEnd; undefined where it is not known. */
  get decided(): LogBase | undefined {
    return this.#log === undefined ? undefined : this.#at(this.decidedEnd);
  }

  #at(slot: Slot): LogBase | undefined {
    const log = this.#log;
    const hash = log?.hashBefore(slot);
    if (log === undefined || hash === undefined) return undefined;
    return { slot, hash, position: log.positionAt(slot), time: log.timeBefore(slot) };
  }

  /** A segment begins: its header says what the log before it was. */
  segment(header: SegmentHeader, at: At): void {
    const { begin } = header;
    if (this.#log !== undefined) {
      const end = this.end;
      const follows =
        header.firstSequence === this.sequence + 1 &&
        end !== undefined &&
        begin.slot === end.slot &&
        begin.hash === end.hash &&
        begin.position === end.position &&
        begin.time === end.time &&
        compareBallots(header.ballot, this.ballot) === 0;
      if (follows) return;
      this.#fault("CHAIN_BROKEN", "the segment's header does not continue the log before it", at);
    }
    this.#anchor(begin);
    this.sequence = header.firstSequence - 1;
    this.ballot = header.ballot;
  }

  /** A sound group. */
  group(header: GroupHeader, entries: readonly Entry[], at: At): void {
    if (header.sequence <= this.sequence) {
      const what = `group ${header.sequence} lies behind group ${this.sequence}`;
      return this.#fault("GROUP_OUT_OF_ORDER", what, at, header.sequence);
    }
    if (this.#log !== undefined && header.sequence > this.sequence + 1) {
      const what = `group ${header.sequence} follows group ${this.sequence}: what lay between them is lost`;
      this.#fault("GROUP_LOST", what, at, this.sequence + 1);
      this.gap();
    }
    this.sequence = header.sequence;
    if (header.kind === "replace") {
      if (compareBallots(header.ballot, this.ballot) < 0) {
        this.#fault("CHAIN_BROKEN", "the group takes the log's ballot back", at, header.sequence);
      }
      this.ballot = header.ballot;
    }
    this.#place(header, entries[0], at);
    this.#append(entries, header, at);
    this.raiseDecided(header.decidedEnd, at);
  }

  /**
   * What comes next could not be read: nothing is known of the log until something says what it continues. Slots below `toldEnd`
   * were named in a fault already.
   */
  gap(toldEnd: number = 0): void {
    this.#log = undefined;
    this.#state = undefined;
    this.#end = maxSlot(this.#end, toldEnd as Slot);
  }

  /** A floor or hint, of a group or the superblock: what lies below it was decided. */
  raiseDecided(hint: Slot, at: At): void {
    const log = this.#log;
    if (log === undefined) {
      this.decidedEnd = maxSlot(this.decidedEnd, hint);
      return;
    }
    const before = maxSlot(this.decidedEnd, log.memoryBegin);
    this.decidedEnd = maxSlot(this.decidedEnd, minSlot(hint, log.acceptedEnd));
    for (let slot = before; slot < minSlot(this.decidedEnd, log.acceptedEnd); slot = (slot + 1) as Slot) {
      const entry = log.at(slot)!;
      this.#pass(slot);
      if (this.#state !== undefined && this.#state.end === slot) {
        const fault = this.#state.apply(entry, this.#parts);
        if (fault !== undefined) {
          this.#fault("CHAIN_BROKEN", `no sequencer can have ordered this log: ${fault}`, at);
          this.#state = undefined;
        }
      }
    }
    this.#pass(this.decidedEnd);
    log.dropBelow(this.decidedEnd);
  }

  #pass(slot: Slot): void {
    const landmark = this.#landmark;
    if (landmark?.slot !== slot) return;
    this.#landmark = undefined;
    const at = this.#at(slot);
    if (at !== undefined) this.#state = landmark.reached(at, this.#state?.end === slot ? this.#state : undefined);
  }

  /** Makes the log end where the group begins; where the two do not meet, the log goes on from the group. */
  #place(header: GroupHeader, first: Entry | undefined, at: At): void {
    const { firstSlot, prevHash, sequence } = header;
    const log = this.#log;
    if (log === undefined) return this.#resume(header, first, at);
    let fault: [DamageReason, string] | undefined;
    if (firstSlot < this.decidedEnd) {
      fault = ["DECIDED_CUT", `changes slots below ${this.decidedEnd}, which are decided`];
    } else if (firstSlot < log.memoryBegin) {
      // It cuts into what a fault hides.
      this.gap();
      return this.#resume(header, first, at);
    } else if (firstSlot > log.acceptedEnd)
      fault = ["CHAIN_BROKEN", `leaves a hole behind slot ${log.acceptedEnd - 1}`];
    else if (header.kind !== "replace" && firstSlot < log.acceptedEnd) {
      fault = ["CHAIN_BROKEN", "repeats slots without replacing them"];
    } else if (prevHash !== log.hashBefore(firstSlot)) fault = ["CHAIN_BROKEN", "does not continue the chain"];
    if (fault === undefined) return log.cut(firstSlot);
    this.#fault(fault[0], `group ${sequence} ${fault[1]}`, at, sequence);
    this.gap();
    this.#resume(header, first, at);
  }

  /** Behind a gap: the group's first entry says what it continues. */
  #resume({ firstSlot, prevHash, sequence }: GroupHeader, first: Entry | undefined, at: At): void {
    if (first === undefined) return;
    if (firstSlot > this.#end) {
      const slots = { from: this.#end, end: firstSlot };
      const text = `slots ${slots.from} to ${slots.end - 1} are not proved`;
      this.#onFault({ ...at, verdict: "damaged", reason: "CHAIN_BROKEN", text, group: sequence, slots });
    }
    this.#anchor({ slot: firstSlot, hash: prevHash, position: first.firstPosition, time: first.time });
  }

  #anchor(base: LogBase): void {
    this.#log = new Log(base, [], 0);
    this.#state = undefined;
    this.#end = maxSlot(this.#end, base.slot);
  }

  #append(entries: readonly Entry[], { sequence }: GroupHeader, at: At): void {
    const log = this.#log;
    if (log === undefined) return;
    let position: Position = log.positionAt(log.acceptedEnd);
    let time = log.timeBefore(log.acceptedEnd);
    for (const entry of entries) {
      if (entry.firstPosition !== position) {
        const what = `slot ${entry.slot} begins with position ${entry.firstPosition}, the one before ends at ${position}`;
        this.#fault("CHAIN_BROKEN", what, at, sequence);
      }
      if (entry.time < time)
        this.#fault("CHAIN_BROKEN", `slot ${entry.slot} is older than the one before`, at, sequence);
      position = nextPositionOf(entry);
      time = entry.time;
      this.entryCount += 1;
      this.recordCount += entry.recordCount;
    }
    log.append(entries);
    this.#end = maxSlot(this.#end, log.acceptedEnd);
    const last = entries[entries.length - 1];
    if (last !== undefined) this.raiseDecided(last.floor, at);
  }

  #fault(reason: DamageReason, text: string, at: At, group?: number): void {
    const fault: Fault = { ...at, verdict: "damaged", reason, text };
    this.#onFault(group === undefined ? fault : { ...fault, group });
  }
}
