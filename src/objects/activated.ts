/** Which machine of a name the nodes run. */
export interface Activated {
  readonly version: number;
  /** SHA-256 of the code in hexadecimal. */
  readonly code: string;
}
