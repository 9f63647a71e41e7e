/** What a node says of one of its machines. Apart from its codec, as node-status.ts. */
import type { PaxlogError } from "../base/errors.ts";

export interface MachineStatus {
  readonly name: string;
  readonly version: number;
  /** SHA-256 of its code in hexadecimal; empty for a built-in one. */
  readonly code: string;
  /** Every command below it is applied. */
  readonly applied: number;
  /** Of its newest snapshot on the node; 0: none. */
  readonly snapshot: number;
  /** Why it does not run there. */
  readonly stopped?: PaxlogError | undefined;
  /** For how long it has been at one command. */
  readonly busyMs: number;
}
