/**
 * What a client saw of one operation. Times are of one clock, in any unit; those of equal time count as overlapping, which can
 * only hide a violation, never make one up.
 */
export interface Operation<Input, Output> {
  /** Who asked: for reports alone. */
  readonly client: string;
  readonly input: Input;
  readonly invokedAt: number;
  readonly result: Result<Output>;
}

export type Result<Output> =
  /** It took effect between its invocation and its return, and answered this. A refusal with facts is an answer too. */
  | { readonly kind: "ok"; readonly output: Output; readonly returnedAt: number }
  /** For certain it took no effect, and said nothing of the object's state. */
  | { readonly kind: "none" }
  /** It may take effect at any time after its invocation, also long after its client gave up, or never. */
  | { readonly kind: "unknown" };

/** A sequential object. All of it is pure: the checker goes back to earlier states at will. */
export interface Model<State, Input, Output> {
  readonly initial: State;
  /**
   * The state after the operation, undefined if it cannot answer `output` in this state. Where nobody saw the output (undefined)
   * the operation does what it does. Where it changes nothing, the very same state.
   */
  step(state: State, input: Input, output: Output | undefined): State | undefined;
  /** Equal for states that nobody can tell apart from now on, and only for those. */
  stateKey(state: State): string;
  /**
   * Operations of different partitions do not know of each other, such as those on different keys of a map: each partition is
   * checked by itself (locality; Herlihy and Wing, 1990). One for all by default.
   */
  partitionOf?(input: Input): string;
  /** Whether the operation, with this output, changes nothing in any state. Spares the checker every order that it could stand in. */
  onlyLooks?(input: Input, output: Output): boolean;
  /** Equal for inputs that do the same in every state. Spares the checker all orders of equal operations without an outcome. */
  inputKey?(input: Input): string;
  describeState?(state: State): string;
  describe?(input: Input, output: Output | undefined): string;
}
