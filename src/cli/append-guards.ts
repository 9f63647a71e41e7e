import { InvalidArgumentError } from "commander";
import { PaxlogError } from "../base/errors.ts";
import type { AppendOptions } from "../client/log.ts";
import { wholeNumber } from "./arguments.ts";

/** The flags of `paxlog append` that demand something of the log. */
export interface GuardFlags {
  readonly expectedTail?: number;
  readonly fencingToken?: number;
  readonly stream?: string;
  readonly expectedRevision?: Revision;
  readonly unlessType: readonly string[];
  readonly unlessTag: readonly string[];
  readonly after?: number;
}

export type Revision = number | "any" | "noStream" | "streamExists";

const namedRevisions: ReadonlyMap<string, Revision> = new Map([
  ["any", "any"],
  ["no-stream", "noStream"],
  ["stream-exists", "streamExists"],
]);

/** A position, or one of the named revisions, as an option's parser. */
export function revision(text: string): Revision {
  const named = namedRevisions.get(text);
  if (named !== undefined) return named;
  if (/^[0-9]/.test(text)) return wholeNumber({ min: 1 })(text);
  throw new InvalidArgumentError(`It must be a position, ${[...namedRevisions.keys()].join(", ")}.`);
}

/** Gathers the values of an option that may be given again and again. */
export function gathered(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

/** What the flags demand of the state of the log at one moment: the whole input is one append then, all lines or none. */
export type StateGuards = Pick<AppendOptions, "expectedTail" | "stream" | "condition">;

/** Undefined where nothing of the kind is demanded. Throws INVALID_ARGUMENT where a flag needs another one. */
export function stateGuardsOf(flags: GuardFlags): StateGuards | undefined {
  const { expectedTail, stream, expectedRevision, unlessType, unlessTag, after } = flags;
  if (expectedRevision !== undefined && stream === undefined) {
    throw new PaxlogError("INVALID_ARGUMENT", "--expected-revision speaks of a stream: name it with --stream");
  }
  const conditional = unlessType.length > 0 || unlessTag.length > 0;
  if (after !== undefined && !conditional) {
    throw new PaxlogError("INVALID_ARGUMENT", "--after speaks of a condition: give --unless-type or --unless-tag");
  }
  if (expectedTail === undefined && expectedRevision === undefined && !conditional) return undefined;
  return {
    ...(expectedTail === undefined ? {} : { expectedTail }),
    ...(expectedRevision === undefined ? {} : { stream: { tag: stream!, expected: expectedRevision } }),
    ...(conditional ? { condition: { query: { types: unlessType, tags: unlessTag }, after: after ?? 0 } } : {}),
  };
}
