import { limits } from "../base/limits.ts";
import type { AppendProposal, Proposal } from "./event.ts";
import type { HistoryAnswer, HistoryQuery } from "./sequencer.ts";

/** What the head of a line waits for. */
export type LineHead =
  /** For the history; `searchId` once it was asked. */
  | {
      readonly kind: "search";
      readonly proposal: AppendProposal;
      readonly seen: readonly HistoryAnswer[];
      readonly query: HistoryQuery;
      searchId: number | undefined;
    }
  /** For its turn, or for room in the window. */
  | { readonly kind: "turn"; readonly proposal: AppendProposal; readonly seen: readonly HistoryAnswer[] }
  /** For its refusal to be confirmed; what came behind it is refused with it. */
  | { readonly kind: "refusal"; readonly proposal: AppendProposal };

export interface Line {
  readonly key: number;
  head: LineHead;
  behind: AppendProposal[];
  /** Something of it was turned away: what comes later must be too, or order would be lost. */
  isBroken: boolean;
}

/**
 * Appends that wait in the core for their verdict, one line for each caller: so a caller's appends keep their order while nobody
 * else waits for them. Bounded in number and bytes.
 */
export class Lines {
  readonly #lines = new Map<number, Line>();
  #count = 0;
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#lines.size === 0;
  }

  /** All lines as of now. */
  all(): Line[] {
    return [...this.#lines.values()];
  }

  /** The line that a proposal has to stand in, if there is one. */
  lineOf(proposal: Proposal): Line | undefined {
    return proposal.kind === "append" ? this.#lines.get(keyOf(proposal)) : undefined;
  }

  /** Begins a line with this head. False where there is no room for it. */
  begin(head: LineHead): boolean {
    if (!this.#enter(head.proposal)) return false;
    const key = keyOf(head.proposal);
    this.#lines.set(key, { key, head, behind: [], isBroken: false });
    return true;
  }

  /** False where the proposal is turned away. */
  join(line: Line, proposal: AppendProposal): boolean {
    line.isBroken ||= !this.#enter(proposal);
    if (!line.isBroken) line.behind.push(proposal);
    return !line.isBroken;
  }

  /** The head has its verdict, and the next one takes its place. False where the line is at its end. */
  advance(line: Line): boolean {
    this.#leave(line.head.proposal);
    const next = line.behind.shift();
    if (next === undefined) this.#lines.delete(line.key);
    else line.head = { kind: "turn", proposal: next, seen: [] };
    return next !== undefined;
  }

  /** Those behind the head that do not stand for themselves leave with it. */
  dismissBehind(line: Line): AppendProposal[] {
    const dismissed = line.behind.filter(({ guards }) => guards?.session === undefined);
    line.behind = line.behind.filter(({ guards }) => guards?.session !== undefined);
    for (const proposal of dismissed) this.#leave(proposal);
    return dismissed;
  }

  /** Everybody leaves. */
  clear(): AppendProposal[] {
    const everybody = this.all().flatMap(({ head, behind }) => [head.proposal, ...behind]);
    this.#lines.clear();
    this.#count = 0;
    this.#bytes = 0;
    return everybody;
  }

  #enter(proposal: AppendProposal): boolean {
    const bytes = bytesOf(proposal);
    if (this.#count >= limits.heldProposals || this.#bytes + bytes > limits.heldBytes) return false;
    this.#count += 1;
    this.#bytes += bytes;
    return true;
  }

  #leave(proposal: AppendProposal): void {
    this.#count -= 1;
    this.#bytes -= bytesOf(proposal);
  }
}

/** One whose caller is nobody in particular stands alone. */
const keyOf = ({ caller, requestId }: AppendProposal): number =>
  caller === undefined || caller === 0 ? -requestId : caller;

const bytesOf = ({ payload }: AppendProposal): number => payload.batch.length + payload.guards.length;
