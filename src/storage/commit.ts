import type { Slot, Ticket } from "../base/types.ts";
import type { LogBase, SnapshotReference } from "../core/durable.ts";
import type { GroupPlace } from "./places.ts";
import type { SpaceState } from "./space.ts";

/** What became durable. */
export interface Commit {
  /** Everything submitted with a ticket up to this one is durable. 0: nothing yet. */
  readonly ticket: Ticket;
  /** Where its entries lie, for readers. */
  readonly places: readonly GroupPlace[];
  /** A REPLACE: everything that was at or above this slot is void, and `places` come after. */
  readonly voidFrom?: Slot;
  /** A snapshot that is whole on disk, and what the node would start from now. */
  readonly snapshot?: SnapshotReference;
  /** Of a snapshot that another node sends: chunks below this number are durable here. Equal to `chunkCount`: install it. */
  readonly receiving?: SnapshotReference & { readonly chunksDurable: number; readonly chunkCount: number };
  /** Where the log begins now: what was below lies in files that are taken away, and readers let go of it. */
  readonly logBegin?: LogBase;
  /** Whether there is room: told when it changes, and after an opening that found none. */
  readonly space?: SpaceState;
  /** The log was emptied by an install and goes on at `logBegin`: nothing that was known of it holds. */
  readonly installed?: SnapshotReference;
}
